import type { Socket } from 'node:net';
import type { SecurePeer, SecureStream } from '@mars/brick-core';
import { RealStream } from './real-stream.js';

/** A TLS connection whose handshake is over, or a plain one where plain text was asked for. */
export class RealSecureStream extends RealStream implements SecureStream {
  constructor(
    private readonly secureSocket: Socket,
    readonly peer: SecurePeer | null,
    readonly isEncrypted: boolean,
    remote?: string,
  ) {
    super(secureSocket, remote);
  }

  writeOwned(bytes: Uint8Array, done?: () => void): boolean {
    const { secureSocket: socket } = this;
    if (socket.destroyed || socket.writableEnded) {
      done?.();
      return false;
    }
    // Node calls back once, with or without an error. TLS encrypts one contiguous buffer straight into its own.
    return done === undefined ? socket.write(bytes) : socket.write(bytes, () => done());
  }

  protected override get mayReset(): boolean {
    return !this.isEncrypted && super.mayReset;
  }
}
