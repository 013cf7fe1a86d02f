/** What an energy meter holds. docs/frame.md has the map. */
export interface Meter {
  /** V. */
  readonly voltage: number;
  /** A. */
  readonly current: number;
  /** W; negative when it feeds in. */
  readonly power: number;
  /** Hz. */
  readonly frequency: number;
  /** Wh, always growing. */
  readonly energy: number;
  /** 0 idle, 1 load, 2 feed-in. */
  readonly state: number;
  /** Samples since it was made. */
  readonly n: number;
  /** A. What a master may set. */
  limit: number;
  /** The relay that a master may switch. */
  relay: boolean;
}

const INPUT_REGISTERS = 20;
const HOLDING_REGISTERS = 2;

/** The answer of a meter to a request, both without unit and check value. Sets what a write asks for. */
export function meterAnswer(meter: Meter, request: Uint8Array): Uint8Array {
  const code = request[0] ?? 0;
  if (request.length < 5) return exception(code, 3);
  const view = new DataView(request.buffer, request.byteOffset, request.byteLength);
  const address = view.getUint16(1);
  const second = view.getUint16(3);
  switch (code) {
    case 1:
      return bits(code, address, second, [meter.relay]);
    case 2:
      return bits(code, address, second, [meter.current > meter.limit]);
    case 3:
      return registers(code, address, second, holding(meter));
    case 4:
      return registers(code, address, second, input(meter));
    case 5:
      return setRelay(meter, request, address, second);
    case 6:
      return setLimit(meter, code, address, [second]) ?? request.slice(0, 5);
    case 16: {
      const values = Array.from({ length: second }, (_, i) => view.getUint16(6 + 2 * i));
      return setLimit(meter, code, address, values) ?? request.slice(0, 5);
    }
    default:
      return exception(code, 1);
  }
}

/** Unit, PDU, CRC-16/MODBUS with its low byte first. */
export function rtuFrame(unit: number, pdu: Uint8Array): Uint8Array {
  const body = Uint8Array.of(unit, ...pdu);
  const crc = crc16Modbus(body);
  return Uint8Array.of(...body, crc & 0xff, crc >> 8);
}

/** CRC-16/MODBUS, bit by bit. */
export function crc16Modbus(bytes: Uint8Array): number {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >> 1) ^ 0xa001 : crc >> 1;
  }
  return crc;
}

/** Transaction, protocol 0, length, unit, PDU. */
export function mbapFrame(transaction: number, unit: number, pdu: Uint8Array): Uint8Array {
  const length = pdu.length + 1;
  const header = [transaction >> 8, transaction & 0xff, 0, 0, length >> 8, length & 0xff, unit];
  return Uint8Array.of(...header, ...pdu);
}

function input(meter: Meter): DataView {
  const view = new DataView(new ArrayBuffer(2 * INPUT_REGISTERS));
  view.setUint16(0, Math.round(meter.voltage * 10));
  view.setUint16(2, Math.round(meter.current * 100));
  view.setInt32(4, Math.round(meter.power));
  view.setFloat32(8, meter.frequency);
  // Energy and number: the low register first, as many meters do.
  view.setUint16(12, meter.energy & 0xffff);
  view.setUint16(14, Math.floor(meter.energy / 65_536));
  view.setUint16(16, meter.state);
  view.setUint16(18, meter.n & 0xffff);
  view.setUint16(20, Math.floor(meter.n / 65_536));
  return view;
}

function holding(meter: Meter): DataView {
  const view = new DataView(new ArrayBuffer(2 * HOLDING_REGISTERS));
  view.setUint16(0, Math.round(meter.limit * 100));
  return view;
}

function registers(code: number, address: number, count: number, held: DataView): Uint8Array {
  if (count < 1 || count > 125) return exception(code, 3);
  if (2 * (address + count) > held.byteLength) return exception(code, 2);
  return Uint8Array.of(code, 2 * count, ...new Uint8Array(held.buffer, 2 * address, 2 * count));
}

function bits(code: number, address: number, count: number, held: readonly boolean[]): Uint8Array {
  if (count < 1 || count > 2000) return exception(code, 3);
  if (address + count > held.length) return exception(code, 2);
  const bytes = new Uint8Array(Math.ceil(count / 8));
  held.slice(address, address + count).forEach((on, i) => {
    if (on) bytes[i >> 3] = (bytes[i >> 3] ?? 0) | (1 << (i & 7));
  });
  return Uint8Array.of(code, bytes.length, ...bytes);
}

function setRelay(meter: Meter, request: Uint8Array, address: number, value: number): Uint8Array {
  if (address !== 0) return exception(5, 2);
  if (value !== 0 && value !== 0xff00) return exception(5, 3);
  meter.relay = value === 0xff00;
  return request.slice(0, 5);
}

/** Null when it is set. */
function setLimit(
  meter: Meter,
  code: number,
  address: number,
  values: readonly number[],
): Uint8Array | null {
  const [limit] = values;
  if (limit === undefined) return exception(code, 3);
  if (address !== 0 || values.length > HOLDING_REGISTERS) return exception(code, 2);
  meter.limit = limit / 100;
  return null;
}

function exception(code: number, reason: number): Uint8Array {
  return Uint8Array.of(code | 0x80, reason);
}
