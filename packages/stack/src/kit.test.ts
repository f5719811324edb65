import { readFileSync, writeFileSync } from 'node:fs';
import {
  Brick,
  BrickBase,
  BrickRegistry,
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

export function testRegistry(): BrickRegistry {
  return new BrickRegistry().register(testBricks, 'test');
}

/** One case of a transcript: what goes in above `----`, what comes out below. */
export interface TranscriptCase {
  title: string;
  input: string;
  expected: string;
}

/**
 * A transcript file: `# title`, input, `----`, output; cases are separated by `====`. Run the tests with
 * `MARS_REWRITE=1` to rewrite the outputs, and commit only what you can explain.
 */
export function transcript(name: string): {
  cases: TranscriptCase[];
  check: (c: TranscriptCase, actual: string) => void;
} {
  const path = new URL(`../testdata/${name}`, import.meta.url);
  const cases = readFileSync(path, 'utf8')
    .split(/^====\n/m)
    .map((text): TranscriptCase => {
      const [head = '', expected = ''] = text.split(/^----\n/m);
      const [title = '', ...input] = head.split('\n');
      return { title: title.replace(/^# /, ''), input: input.join('\n'), expected: expected.trimEnd() };
    });
  const write = (): void =>
    writeFileSync(path, cases.map((c) => `# ${c.title}\n${c.input}----\n${c.expected}\n`).join('====\n'));
  const check = (c: TranscriptCase, actual: string): void => {
    if (process.env.MARS_REWRITE === '1') {
      c.expected = actual;
      write();
    } else if (actual !== c.expected) throw new Error(`expected:\n${c.expected}\n\nbut got:\n${actual}\n`);
  };
  return { cases, check };
}
