import { createHash } from 'node:crypto';
import type { InjectionToken } from '../di.js';
import { CAP_DIGEST_SHA256 } from '../request/info.js';
import { DIGEST_BYTES, F_DIGEST_SHA256 } from '../request/ops.js';

/** Digests for comparing ranges of two disks (operation DIGESTS). Computed at once, without a promise. */
export interface Digests {
  /** `CAP_DIGEST_*` of the algorithms that work here. */
  readonly caps: number;
  /**
   * Digest of `bytes[at, at + len)`, `DIGEST_BYTES` long, to `bytes[into]`.
   * @param algorithm one of `F_DIGEST_*`, advertised in `caps`
   */
  compute(algorithm: number, bytes: Uint8Array, at: number, len: number, into: number): void;
}

export const DIGESTS: InjectionToken<Digests> = Symbol('brick-core/Digests');

/** Works everywhere, at the speed of OpenSSL's SHA-256; a platform brings faster ones. */
export const scriptDigests: Digests = { caps: CAP_DIGEST_SHA256, compute: sha256 };

/** SHA-256, cut to 128 bits. */
export function sha256(algorithm: number, bytes: Uint8Array, at: number, len: number, into: number): void {
  if (algorithm !== F_DIGEST_SHA256) throw new RangeError(`no digest with the flag 0x${algorithm.toString(16)}`);
  const digest = createHash('sha256')
    .update(bytes.subarray(at, at + len))
    .digest();
  bytes.set(digest.subarray(0, DIGEST_BYTES), into);
}
