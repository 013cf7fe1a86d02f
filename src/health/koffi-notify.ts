/**
 * A word to systemd, as sd_notify(3) has it: one datagram to a unix socket. Node opens no such sockets; koffi calls the
 * three functions of libc that do. docs/decisions/0012-systemd-notify.md says what else was considered.
 */

/** Values of Linux, the same on x86 and ARM. */
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const MSG_NOSIGNAL = 0x4000;
/** sockaddr_un: two bytes of family, then the path with its NUL. */
const PATH_BYTES_MAX = 107;

export interface NotifySocket {
  /** Never waits. @throws Error when nobody takes it: what it says is lost */
  send(text: string): void;
  close(): void;
}

/**
 * @param path NOTIFY_SOCKET: absolute, or an abstract name that begins with @
 * @throws Error when it is no such path, or on a system where libc cannot be called
 */
export async function openNotifySocket(path: string): Promise<NotifySocket> {
  const address = addressOf(path);
  const { default: koffi } = await import("koffi");
  // What this process has loaded already has libc among it, whichever one that is.
  const libc = koffi.load(null);
  const socket = libc.func("int socket(int, int, int)");
  const sendto = libc.func("intptr_t sendto(int, const void *, size_t, int, const void *, uint)");
  const close = libc.func("int close(int)");
  const fail = (what: string): never => {
    throw new Error(`${what} ${path}: errno ${koffi.errno()}`);
  };
  const descriptor: number = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) fail("no socket for");
  return {
    send(text) {
      const bytes = Buffer.from(text);
      const sent = sendto(descriptor, bytes, bytes.length, MSG_NOSIGNAL, address, address.length);
      if (Number(sent) !== bytes.length) fail("nothing was taken by");
    },
    close() {
      close(descriptor);
    },
  };
}

function addressOf(path: string): Buffer {
  const bytes = Buffer.from(path);
  const isAbstract = path.startsWith("@");
  if (!(isAbstract || path.startsWith("/")) || bytes.length > PATH_BYTES_MAX) {
    throw new Error(`NOTIFY_SOCKET is no path of a socket: ${path}`);
  }
  const address = Buffer.alloc(2 + bytes.length + (isAbstract ? 0 : 1));
  address.writeUInt16LE(AF_UNIX);
  bytes.copy(address, 2);
  if (isAbstract) address[2] = 0;
  return address;
}
