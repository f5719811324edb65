import type { BrickClass } from '@mars/brick-core';
import { ReplayBrick } from './trans-logger/replay/index.js';
import { TransLoggerBrick } from './trans-logger/index.js';

export * from './log-format/index.js';
export { DIGEST_ENGINE } from './digest-engine.js';
export * from './trans-logger/index.js';
export * from './trans-logger/replay/index.js';

/** All brick classes of this package, for `registerBricks`. */
export const loggerBricks: readonly BrickClass[] = [TransLoggerBrick, ReplayBrick];
