import type { BrickClass } from '@mars/brick-core';
import { IfNbdBrick } from './if-nbd/if-nbd.js';
import { NbdClientBrick } from './nbd-client/nbd-client.js';

export { IfNbdBrick } from './if-nbd/if-nbd.js';
export type { IfNbdParams } from './if-nbd/params.js';
export { NbdClientBrick } from './nbd-client/nbd-client.js';
export type { NbdClientParams } from './nbd-client/params.js';

/** Every brick of this package. */
export const ifBricks: readonly BrickClass[] = [IfNbdBrick, NbdClientBrick];
