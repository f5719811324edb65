import {
  CAP_DIGEST_SHA256,
  CAP_DIGEST_XXH3,
  F_DIGEST_XXH3,
  RING_HASH_XXH3_128,
  sha256,
  type Digests,
} from '@mars/brick-core';
import { digest } from './ring/digest.js';

/** XXH3-128 by the addon, or by WebAssembly where there is no addon; SHA-256 by OpenSSL. */
export const realDigests: Digests = {
  caps: CAP_DIGEST_XXH3 | CAP_DIGEST_SHA256,
  compute(algorithm, bytes, at, len, into) {
    if (algorithm === F_DIGEST_XXH3) digest(RING_HASH_XXH3_128, bytes, at, len, into);
    else sha256(algorithm, bytes, at, len, into);
  },
};
