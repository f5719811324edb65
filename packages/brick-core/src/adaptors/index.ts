import type { BrickClass } from '../brick/meta.js';
import { AlignBrick } from './align.js';
import { DigestBrick } from './digest.js';
import { FuaBrick } from './fua.js';
import { SplitBrick } from './split.js';
import { ZeroBrick } from './zero.js';

export { AlignBrick, DigestBrick, FuaBrick, SplitBrick, ZeroBrick };

/** The bricks that negotiation puts between a consumer and a provider that offers less than it needs, lowest first. */
export const adaptorBricks: readonly BrickClass[] = [AlignBrick, SplitBrick, DigestBrick, ZeroBrick, FuaBrick];
