import { ErrorCode, type MarsError, type NetAddress, type RingSockets, type SocketBufferSizes } from '@mars/brick-core';
import { machineError } from '../errors.js';
import type { Native } from '../native.js';
import { LISTEN_BACKLOG, nameOf, replacingStale, SOCKET_MODE, type ListenOptions } from '../net/listen.js';

/** Silence after which a dead TCP peer is probed, seconds. */
const KEEP_ALIVE_SEC = 30;

/** Real descriptors, for io_uring. */
export class NativeSockets implements RingSockets {
  constructor(private readonly native: Native) {}

  listen(address: NetAddress, { backlog = LISTEN_BACKLOG, mode = SOCKET_MODE }: ListenOptions = {}): Promise<number> {
    // async, so that a refusal is a rejection that replacingStale can look at
    return replacingStale(address, async () => {
      const fd =
        'path' in address
          ? this.native.listenUnix(address.path, backlog, mode)
          : this.native.listenTcp(address.host, address.port, backlog);
      if (fd < 0) throw Object.assign(new Error(`listen: errno ${-fd}`), { errno: fd });
      return fd;
    });
  }

  create(address: NetAddress): number {
    const family = 'path' in address ? 'unix' : address.host.includes(':') ? 'ipv6' : 'ipv4';
    return good(this.native.streamSocket(family), `make a socket for ${nameOf(address)}`);
  }

  encode(address: NetAddress): Uint8Array {
    const bytes =
      'path' in address
        ? this.native.socketAddress(address.path)
        : this.native.socketAddress(address.host, address.port);
    return good(
      bytes,
      `use ${nameOf(address)} as an address`,
      'Give a numeric address, or a socket path of at most 107 bytes.',
    );
  }

  localAddress(fd: number): NetAddress {
    const name = good(this.native.socketName(fd), 'ask a socket for its address');
    return name.family === 'unix' ? { path: name.address } : { host: name.address, port: name.port };
  }

  remoteName(fd: number): string {
    const name = this.native.peerName(fd);
    if (typeof name === 'number') return 'a peer that is gone';
    return name.family === 'unix' ? name.address || 'a local process' : nameOf({ host: name.address, port: name.port });
  }

  tune(fd: number, { sendBytes, receiveBytes }: SocketBufferSizes): void {
    this.native.socketBuffers(fd, sendBytes, receiveBytes);
    const name = this.native.socketName(fd);
    if (typeof name === 'object' && name.family !== 'unix') this.native.tcpOptions(fd, KEEP_ALIVE_SEC);
  }

  close(fd: number): void {
    good(this.native.closeFd(fd), 'close a socket');
  }
}

function good<T>(answer: T | number, action: string, hint?: string): T {
  if (typeof answer === 'number' && answer < 0) throw socketError(answer, action, hint);
  return answer as T;
}

function socketError(errno: number, action: string, hint: string | undefined): MarsError {
  return machineError(ErrorCode.SOCKET, { action, errno, hint });
}
