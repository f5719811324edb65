import type { BrickClass } from '@mars/brick-core';
import { CheckBrick } from './check/check.js';
import { DelayBrick } from './delay/delay.js';
import { DummyBrick } from './dummy/dummy.js';
import { ErrorBrick } from './error/error.js';
import { LoadBrick } from './load/load.js';
import { NullBrick } from './null/null.js';
import { OffsetBrick } from './offset/offset.js';
import { PatternBrick } from './pattern/pattern.js';
import { PowerfailBrick } from './powerfail/powerfail.js';
import { RamBrick } from './ram/ram.js';
import { StatsBrick } from './stats/stats.js';
import { ThrottleBrick } from './throttle/throttle.js';
import { TraceBrick } from './trace/trace.js';

export {
  CheckBrick,
  DelayBrick,
  DummyBrick,
  ErrorBrick,
  LoadBrick,
  NullBrick,
  OffsetBrick,
  PatternBrick,
  PowerfailBrick,
  RamBrick,
  StatsBrick,
  ThrottleBrick,
  TraceBrick,
};
export type { LoadPhase } from './load/load.js';
export type { TraceEntry } from './trace/trace-ring.js';
export { registerCheckServices } from './throttle/throttle.js';

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
  PowerfailBrick,
  RamBrick,
  StatsBrick,
  ThrottleBrick,
  TraceBrick,
];
