import type { BrickClass } from '@mars/brick-core';
import { CopyBrick } from './copy/copy.js';

export { CopyBrick };
export type { CopyMode, CopyPhase } from './copy/copy-params.js';

/** All bricks of this package. */
export const copyBricks: readonly BrickClass[] = [CopyBrick];
