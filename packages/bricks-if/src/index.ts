import type { BrickClass } from '@mars/brick-core';
import { IfNbdBrick } from './if-nbd/if-nbd.js';

export { IfNbdBrick } from './if-nbd/if-nbd.js';
export type { IfNbdParams } from './if-nbd/params.js';

/** Every brick of this package. */
export const ifBricks: readonly BrickClass[] = [IfNbdBrick];
