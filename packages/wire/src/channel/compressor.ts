import { constants, deflateRawSync } from 'node:zlib';
import { COMPRESS_FROM_BYTES, COMPRESS_PAUSE_FIRST, COMPRESS_PAUSE_MAX } from '../limits.js';

/** The result must be this much smaller, else compression costs more than it spares. */
const WORTH_IT = 0.9;

/** Compresses the messages of one channel, and leaves it for a while when it does not pay. */
export class Compressor {
  sparedBytes = 0;
  private pause = 0;
  private nextPause = COMPRESS_PAUSE_FIRST;

  /** @returns the compressed body, or null to send it as it is */
  try(body: Uint8Array): Uint8Array | null {
    if (body.length < COMPRESS_FROM_BYTES) return null;
    if (this.pause > 0) {
      this.pause--;
      return null;
    }
    const packed = deflateRawSync(body, { level: constants.Z_BEST_SPEED });
    if (packed.length > body.length * WORTH_IT) {
      this.pause = this.nextPause;
      this.nextPause = Math.min(2 * this.nextPause, COMPRESS_PAUSE_MAX);
      return null;
    }
    this.nextPause = COMPRESS_PAUSE_FIRST;
    this.sparedBytes += body.length - packed.length;
    return packed;
  }
}
