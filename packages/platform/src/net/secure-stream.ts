import type { Socket } from 'node:net';
import type { SecurePeer, SecureStream } from '@mars/brick-core';
import { RealStream } from './real-stream.js';
import type { ReusedBuffer } from './reused-buffer.js';

/** A TLS connection whose handshake is over, or a plain one where plain text was asked for. */
export class RealSecureStream extends RealStream implements SecureStream {
  constructor(
    private readonly secureSocket: Socket,
    readonly peer: SecurePeer | null,
    readonly isEncrypted: boolean,
    remote?: string,
    /** Where the socket reads into; without one it is an ordinary stream. */
    private readonly reads: ReusedBuffer | null = null,
  ) {
    super(secureSocket, remote);
  }

  override onData(handler: (bytes: Uint8Array) => void): void {
    if (this.reads === null) super.onData(handler);
    else this.reads.onData(handler);
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
