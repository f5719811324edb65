import { native } from './native.js';

/** The checksums of log records, as the addon computes them; `null` where there is no addon. */
export const nativeLogDigests = native && { crc32c8: native.crc32c8, crc32_8: native.crc32_8 };
