import type { InjectionToken } from '@mars/brick-core';
import type { DigestEngine } from './log-format/digests.js';

/**
 * Who computes the checksums of log records on this host. Composition roots register the addon's sums here
 * (`nativeDigestEngine`); where nobody registered anything, plain TypeScript does it.
 */
export const DIGEST_ENGINE: InjectionToken<DigestEngine> = Symbol('bricks-logger/DigestEngine');
