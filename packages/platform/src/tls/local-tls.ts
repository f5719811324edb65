import type { TlsClient, TlsClientIdentity, TlsEndpoint, TlsIdentity, TlsServer } from '@mars/brick-core';
import type { ThreadHandles } from '../ring/thread-handles.js';
import { peerName, shakeHands, shakeHandsAsClient } from './handshake.js';
import { readClientMaterial, readMaterial } from './material.js';

/** TLS for the sockets of the fallback ring, which live in an event loop anyway: a TLS socket becomes one of its handles. */
export class LocalTls implements TlsEndpoint {
  constructor(private readonly handles: ThreadHandles) {}

  server(identity: TlsIdentity): TlsServer {
    const material = readMaterial(identity);
    return {
      accept: async (fd, { signal }) => {
        const tls = await shakeHands(this.handles.release(fd), material, signal);
        return { fd: this.handles.adopt(tls), name: peerName(tls) };
      },
    };
  }

  client(identity: TlsClientIdentity): TlsClient {
    const material = readClientMaterial(identity);
    return {
      connect: async (fd, { signal }) => {
        const tls = await shakeHandsAsClient(this.handles.release(fd), material, signal);
        return { fd: this.handles.adopt(tls), name: peerName(tls) };
      },
    };
  }

  async close(): Promise<void> {}
}
