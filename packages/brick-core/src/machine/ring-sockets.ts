import type { NetAddress } from './net.js';

/** Buffers of a socket, bytes; 0 leaves one as it is. */
export interface SocketBufferSizes {
  sendBytes: number;
  receiveBytes: number;
}

/**
 * Sockets for the operations of a ring: `ctx.loop.ring.sockets`. Cold path; a descriptor it hands out is good for that ring
 * only, because rings that are not io_uring number their sockets themselves. Errors are `MarsError`s.
 */
export interface RingSockets {
  /**
   * Listens; then submit `accept`. A stale unix socket is replaced, a live one is EADDRINUSE. Who may connect to a unix socket is
   * said by `mode`, 0600 by default: its owner.
   * Port 0 chooses one: see {@link localAddress}.
   */
  listen(address: NetAddress, options?: { backlog?: number; mode?: number }): Promise<number>;
  /** An unconnected socket of the family that fits the address, for `connect`. Hosts are numeric addresses here. */
  create(address: NetAddress): number;
  /** What `connect` needs to find in the arena. */
  encode(address: NetAddress): Uint8Array;
  localAddress(fd: number): NetAddress;
  /** For people: `192.0.2.1:4711`, or `a local process`. */
  remoteName(fd: number): string;
  /** Sets buffers, and on TCP no-delay and keep-alive. Best effort: the kernel caps what it does not like. */
  tune(fd: number, sizes: SocketBufferSizes): void;
  /** Closes a descriptor that has no operation under way; else use the ring's `shutdown` and `close`. */
  close(fd: number): void;
}
