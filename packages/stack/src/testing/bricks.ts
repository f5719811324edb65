import {
  Brick,
  BrickBase,
  CAP_FLUSH,
  CAP_WRITE,
  FilterBrick,
  type BrickClass,
  type XioInfo,
  type XioObject,
} from '@mars/brick-core';

/** A store in memory without memory: answers everything. */
@Brick({
  type: 'ram',
  about: 'volatile store',
  params: { properties: { size: { unit: 'bytes', default: '64M' }, grow: { type: 'boolean', default: false } } },
})
export class TestRam extends BrickBase {
  info(into: XioInfo): number {
    into.size = this.ctx.params.size as number;
    into.caps = CAP_WRITE | CAP_FLUSH;
    return 0;
  }

  io(o: XioObject): void {
    this.ctx.loop.finish(o, 0);
  }
}

@Brick({
  type: 'bio',
  about: 'block device',
  params: { required: ['path'], properties: { path: { type: 'string' }, direct: { type: 'boolean', default: false } } },
})
export class TestBio extends TestRam {}

@Brick({
  type: 'delay',
  about: 'adds latency',
  inputs: { next: {} },
  params: {
    properties: { write: { unit: 'ms', default: 0 }, read: { unit: 'ms', default: 0 }, seed: { type: 'integer' } },
  },
  live: ['write'],
})
export class TestDelay extends FilterBrick {}

/** A filter whose start can be made to fail. */
@Brick({
  type: 'fragile',
  about: 'fails to start when told so',
  inputs: { next: {} },
  params: { properties: { broken: { type: 'boolean', default: false }, secret: { type: 'string' } } },
})
export class TestFragile extends FilterBrick {
  static isBroken = false;

  protected override start(): void {
    if (TestFragile.isBroken) throw new Error(`no way with ${String(this.ctx.params.secret ?? 'this')}`);
  }
}

/** Two inputs, one of them a group; says which slots it still needs. */
@Brick({
  type: 'trans-logger',
  about: 'write-ahead log',
  inputs: { data: { about: 'the disk' }, log: { group: 2, about: 'log files' } },
  params: { properties: { mode: { type: 'string', enum: ['log', 'replay'], default: 'log' } } },
})
export class TestLogger extends BrickBase {
  /** The one that was built last, for tests that play its part. */
  static last: TestLogger | undefined;
  readonly needed = new Set<number>();

  protected override attached(): void {
    TestLogger.last = this;
  }

  override slotIdle(_port: string, nr: number): boolean {
    return !this.needed.has(nr);
  }

  info(into: XioInfo): number {
    return this.input('data').info(into);
  }

  io(o: XioObject): void {
    this.input('data').io(o);
  }

  say(name: string, value: string | number | boolean): void {
    this.ctx.publish(name, value);
  }
}

/** The same under a name of its own, for hosts where the real one is registered too. */
@Brick({
  type: 'trial-logger',
  about: 'write-ahead log',
  inputs: { data: { about: 'the disk' }, log: { group: 2, about: 'log files' } },
  params: { properties: { mode: { type: 'string', enum: ['log', 'replay'], default: 'log' } } },
})
export class TrialLogger extends TestLogger {}

@Brick({
  type: 'load',
  about: 'makes requests',
  inputs: { next: {} },
  params: { properties: { depth: { type: 'integer', default: 1 } } },
})
export class TestLoad extends BrickBase {
  complete(): void {}
}

@Brick({
  type: 'copy',
  about: 'copies a to b',
  inputs: { a: { perm: ['read'], share: ['read', 'write'] }, b: {} },
  params: { properties: { start: { unit: 'bytes', default: 0 } } },
})
export class TestCopy extends TestLoad {}

@Brick({
  type: 'dev',
  about: 'front end',
  inputs: { next: {} },
  params: { required: ['name'], properties: { name: { type: 'string' } } },
})
export class TestDev extends TestLoad {}

export const testBricks: readonly BrickClass[] = [
  TestRam,
  TestBio,
  TestDelay,
  TestFragile,
  TestLogger,
  TestLoad,
  TestCopy,
  TestDev,
];

/** What a test has a brick do, as plain data: the brick may live in another thread. */
export type TestPart =
  | { do: 'break'; isBroken: boolean }
  /** The logger still needs these slots of its group. */
  | { do: 'need'; slots: readonly number[] }
  /** The logger publishes a fact. */
  | { do: 'say'; name: string; value: string | number | boolean };

/** To be called in the thread of the bricks. */
export function playPart(part: TestPart): void {
  if (part.do === 'break') TestFragile.isBroken = part.isBroken;
  else if (part.do === 'say') TestLogger.last?.say(part.name, part.value);
  else {
    TestLogger.last?.needed.clear();
    for (const slot of part.slots) TestLogger.last?.needed.add(slot);
  }
}
