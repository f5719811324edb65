import type { BrickClass } from '@mars/brick-core';
import { ClientBrick } from './client/client.js';
import { ServerBrick } from './server/server.js';

export { ClientBrick, ServerBrick };
export { BRICK_NET, BrickNetHub, type BrickNet, type BrickNetOptions } from './brick-net.js';
export { PURPOSE_BRICKS } from './protocol.js';

/** All bricks of this package. */
export const netBricks: readonly BrickClass[] = [ClientBrick, ServerBrick];
