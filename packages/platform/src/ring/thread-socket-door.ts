import { EBADF, ErrorCode, type NetAddress, type RingSockets, type SocketBufferSizes } from '@mars/brick-core';
import { machineError } from '../errors.js';
import { nameOf, replacingStale, startListening, type ListenOptions } from '../net/listen.js';
import type { ThreadHandles } from './thread-handles.js';
import { ThreadListener, ThreadStream } from './thread-sockets.js';

const KEEP_ALIVE_MS = 30_000;

/** {@link RingSockets} of the fallback: handles instead of descriptors. */
export class ThreadSocketDoor implements RingSockets {
  constructor(private readonly handles: ThreadHandles) {}

  async listen(address: NetAddress, options: ListenOptions = {}): Promise<number> {
    const listener = await ThreadListener.open(
      (server) => replacingStale(address, () => startListening(server, address, options)),
      this.handles.adopt,
    );
    return this.handles.add(listener);
  }

  create(address: NetAddress): number {
    return this.handles.add(new ThreadStream(undefined, 'path' in address ? 'unix' : 'tcp'));
  }

  encode(address: NetAddress): Uint8Array {
    return this.handles.encode(address);
  }

  localAddress(fd: number): NetAddress {
    const handle = this.handleOf(fd);
    if (handle instanceof ThreadListener) return handle.address;
    return { host: handle.socket.localAddress ?? '', port: handle.socket.localPort ?? 0 };
  }

  remoteName(fd: number): string {
    const handle = this.handles.get(fd);
    if (!(handle instanceof ThreadStream)) return 'a peer that is gone';
    const { remoteAddress, remotePort } = handle.socket;
    return remoteAddress === undefined ? 'a local process' : nameOf({ host: remoteAddress, port: remotePort ?? 0 });
  }

  /** Node sizes its buffers itself; no-delay and keep-alive it can. */
  tune(fd: number, _sizes: SocketBufferSizes): void {
    const handle = this.handleOf(fd);
    if (handle instanceof ThreadStream) handle.socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS);
  }

  close(fd: number): void {
    const errno = this.handles.close(fd);
    if (errno < 0) throw machineError(ErrorCode.SOCKET, { action: 'close a socket', errno });
  }

  private handleOf(fd: number): ThreadStream | ThreadListener {
    const handle = this.handles.get(fd);
    if (typeof handle !== 'number') return handle;
    throw machineError(ErrorCode.SOCKET, { action: `use socket ${fd}`, errno: EBADF });
  }
}
