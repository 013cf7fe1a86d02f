import type { BinaryFieldConfig } from "../../config/schema.ts";
import { type Decoded, readings, refused } from "./reading.ts";
import { SCALAR_BYTES, scalarValue } from "./scalar.ts";

/** Numbers at their places in a frame. A frame that ends within a field is refused; bytes without a field are let be. */
export function decodeBinary(frame: Uint8Array, fields: readonly BinaryFieldConfig[]): Decoded {
  if (fields.some(({ at, type }) => at + SCALAR_BYTES[type] > frame.length)) {
    return refused("too-short");
  }
  return readings(
    fields.map((rule) => {
      // A copy: slice() of a Buffer would be the frame itself, and be turned round with it.
      const bytes = Uint8Array.from(frame.subarray(rule.at, rule.at + SCALAR_BYTES[rule.type]));
      if (rule.endian === "little") bytes.reverse();
      const { field, type, unit } = rule;
      const value = scalarValue(bytes, type, rule);
      return unit === undefined ? { field, value } : { field, value, unit };
    }),
  );
}
