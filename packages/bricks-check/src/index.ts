import type { BrickClass } from '@mars/brick-core';
import { CheckBrick } from './check/check.js';
import { DelayBrick } from './delay/delay.js';
import { DummyBrick } from './dummy/dummy.js';
import { ErrorBrick } from './error/error.js';
import { LoadBrick } from './load/load.js';
import { NullBrick } from './null/null.js';
import { OffsetBrick } from './offset/offset.js';
import { PatternBrick } from './pattern/pattern.js';
import { RamBrick } from './ram/ram.js';
import { StatsBrick } from './stats/stats.js';

export {
  CheckBrick,
  DelayBrick,
  DummyBrick,
  ErrorBrick,
  LoadBrick,
  NullBrick,
  OffsetBrick,
  PatternBrick,
  RamBrick,
  StatsBrick,
};
export type { LoadPhase } from './load/load.js';

/** All brick classes of this package, for `registerBricks`. */
export const checkBricks: readonly BrickClass[] = [
  CheckBrick,
  DelayBrick,
  DummyBrick,
  ErrorBrick,
  LoadBrick,
  NullBrick,
  OffsetBrick,
  PatternBrick,
  RamBrick,
  StatsBrick,
];
