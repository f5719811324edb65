import type { Socket } from 'node:net';
import { EBADF, ENOTSOCK, invariant, type NetAddress } from '@mars/brick-core';
import { FIRST_HANDLE } from './limits.js';
import { ThreadStream, type Handle, type ThreadListener } from './thread-sockets.js';

/** The socket handles of one fallback ring: numbers above every descriptor, never re-used while the ring lives. */
export class ThreadHandles {
  private readonly handles = new Map<number, Handle>();
  private next = FIRST_HANDLE;

  add(handle: Handle): number {
    this.handles.set(this.next, handle);
    return this.next++;
  }

  readonly adopt = (socket: Socket): number => this.add(new ThreadStream(socket));

  /** @returns a negative errno for numbers that are no socket of this ring */
  get(fd: number): ThreadStream | ThreadListener | number {
    const handle = this.handles.get(fd) as ThreadStream | ThreadListener | undefined;
    return handle ?? (fd >= FIRST_HANDLE || fd < 0 ? -EBADF : -ENOTSOCK);
  }

  /** The socket itself; the handle is gone. For TLS. */
  release(fd: number): Socket {
    const stream = this.get(fd);
    invariant(stream instanceof ThreadStream, 'ring: a socket was given away that is none');
    this.handles.delete(fd);
    return stream.release();
  }

  close(fd: number): number {
    const handle = this.handles.get(fd);
    if (handle === undefined) return -EBADF;
    this.handles.delete(fd);
    handle.close();
    return 0;
  }

  closeAll(): void {
    for (const fd of [...this.handles.keys()]) this.close(fd);
  }

  /** Addresses travel through the arena as text, because only this ring reads them. */
  encode(address: NetAddress): Uint8Array {
    return Buffer.from(JSON.stringify(address));
  }

  decode(bytes: Uint8Array): NetAddress | null {
    try {
      const address = JSON.parse(Buffer.from(bytes).toString()) as Record<string, unknown>;
      if (typeof address['path'] === 'string') return { path: address['path'] };
      if (typeof address['host'] !== 'string' || typeof address['port'] !== 'number') return null;
      return { host: address['host'], port: address['port'] };
    } catch {
      return null;
    }
  }
}
