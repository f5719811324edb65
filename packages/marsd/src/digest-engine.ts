import { nativeDigestEngine, portableDigestEngine, type DigestEngine } from '@mars/bricks-logger/log-format';
import { nativeLogDigests } from '@mars/platform/command-line';

/** Checksums of log records: the addon's where there is one (about five times as fast), else plain TypeScript. */
export const digestEngine: DigestEngine =
  nativeLogDigests === null ? portableDigestEngine : nativeDigestEngine(nativeLogDigests);
