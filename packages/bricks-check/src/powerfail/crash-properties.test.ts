import assert from 'node:assert/strict';
import { Brick, F_FUA, FilterBrick, createRandom, type XioObject } from '@mars/brick-core';
import { BrickKit, type ProbeResult } from '@mars/brick-core/testing';
import fc from 'fast-check';
import { PowerfailBrick } from './powerfail.js';

const GRANULE = 512;
const SIZE = 64 * GRANULE;

/** Everything below happens at once, but the answers come late and overtake each other: reads bring what is old by then. */
@Brick({
  type: 'test-late',
  inputs: { next: {} },
  ops: 'all',
  params: { properties: { seed: { type: 'integer', default: 1 }, ms: { type: 'number', default: 1 } } },
})
class LateAnswers extends FilterBrick {
  private random = createRandom(1);

  protected override attached(): void {
    this.random = createRandom(this.ctx.params.seed as number);
  }

  override io(o: XioObject): void {
    o.push(this);
    this.next.io(o);
  }

  override complete(o: XioObject): void {
    this.ctx.loop.after(this.random.float() * (this.ctx.params.ms as number), o, this.handOn);
  }

  private readonly handOn = (o: XioObject): void => o.done(o.err);
}

type Step =
  | { kind: 'write'; posBytes: number; lenBytes: number; fua: boolean; zero: boolean }
  | { kind: 'read'; posBytes: number; lenBytes: number }
  | { kind: 'flush' }
  | { kind: 'longZero' }
  | { kind: 'wait'; ms: number }
  | { kind: 'failBelow'; nth: number }
  | { kind: 'cut' };

/**
 * Every value that one granule ever had, in the order of the writes, and which of them a cut may no longer lose. A write of a part of
 * it has as many possible values as what it was written over: a write that failed may or may not have happened.
 */
class GranuleHistory {
  readonly values: Uint8Array[][] = [[new Uint8Array(GRANULE)]];
  /** Youngest value whose write was answered with success. */
  answered = 0;
  /** Youngest value that a flush or FUA made durable. */
  durable = 0;
  /** What it may be now. */
  private current = this.values[0]!;

  write(from: number, bytes: Uint8Array): number {
    const written = distinct(this.current.map((value) => patched(value, from, bytes)));
    this.current = distinct([...written, ...this.current]);
    return this.values.push(written) - 1;
  }

  succeeded(nr: number): void {
    this.answered = Math.max(this.answered, nr);
    if (nr === this.values.length - 1) this.current = this.values[nr]!;
  }

  mayBe(bytes: Uint8Array, oldest: number): boolean {
    return this.values.slice(oldest).some((values) => values.some((value) => Buffer.compare(value, bytes) === 0));
  }

  /** After a cut: this is what it is now. */
  settle(bytes: Uint8Array): void {
    this.current = [bytes.slice()];
    this.values.splice(0, this.values.length, this.current);
    this.answered = this.durable = 0;
  }
}

function patched(value: Uint8Array, from: number, bytes: Uint8Array): Uint8Array {
  const copy = value.slice();
  copy.set(bytes, from);
  return copy;
}

function distinct(values: Uint8Array[]): Uint8Array[] {
  return values.filter((value, i) => values.findIndex((other) => Buffer.compare(other, value) === 0) === i);
}

/**
 * The contract of a disk with a volatile cache, written down without caches: per granule the list of its values. The brick
 * takes writes in the order of the calls, so that order is the order of the values.
 */
class DiskModel {
  readonly granules = Array.from({ length: SIZE / GRANULE }, () => new GranuleHistory());
  private stamp = 0;

  /** Bytes that no other write has. */
  fresh(lenBytes: number): Uint8Array {
    const bytes = new Uint8Array(lenBytes);
    const stamp = ++this.stamp;
    for (let i = 0; i < lenBytes; i++) bytes[i] = i % 4 === 3 ? 0xff : (stamp >>> (8 * (i % 4))) & 0xff;
    return bytes;
  }

  /** @returns what to call with the answer */
  write(posBytes: number, data: Uint8Array, isFua: boolean): (err: number) => void {
    const touched: [GranuleHistory, number][] = [];
    for (let at = posBytes; at < posBytes + data.length;) {
      const g = Math.floor(at / GRANULE);
      const end = Math.min((g + 1) * GRANULE, posBytes + data.length);
      const history = this.granules[g]!;
      touched.push([history, history.write(at - g * GRANULE, data.subarray(at - posBytes, end - posBytes))]);
      at = end;
    }
    return (err) => {
      if (err < 0) return;
      for (const [history, nr] of touched) {
        history.succeeded(nr);
        if (isFua) history.durable = Math.max(history.durable, nr);
      }
    };
  }

  flush(): (err: number) => void {
    const covered = this.granules.map((history) => history.answered);
    return (err) => {
      if (err < 0) return;
      this.granules.forEach((history, g) => (history.durable = Math.max(history.durable, covered[g]!)));
    };
  }

  /** A read sees, per granule, a value between what was answered when it was sent and what has been sent since. */
  read(posBytes: number, lenBytes: number): (answer: ProbeResult) => void {
    const oldest = this.granules.map((history) => history.answered);
    return ({ err, data }) => {
      if (err < 0) return;
      for (let g = Math.ceil(posBytes / GRANULE); (g + 1) * GRANULE <= posBytes + lenBytes; g++) {
        const at = g * GRANULE - posBytes;
        const isKnown = this.granules[g]!.mayBe(data.subarray(at, at + GRANULE), oldest[g]!);
        assert.ok(isKnown, `a read of granule ${g} gave something that is too old or was never written`);
      }
    };
  }

  /** What stands on the disk after a cut must be allowed; it is the beginning of the next life. */
  checkAfterCut(disk: Uint8Array, lose: string): void {
    this.granules.forEach((history, g) => {
      const bytes = disk.subarray(g * GRANULE, (g + 1) * GRANULE);
      const oldest = lose === 'none' ? Math.max(history.durable, history.answered) : history.durable;
      const verdict = history.mayBe(bytes, 0) ? 'lost a durable value' : 'holds a value that was never written';
      assert.ok(history.mayBe(bytes, oldest), `granule ${g} ${verdict} (${lose})`);
      history.settle(bytes);
    });
  }
}

const range = fc.oneof(
  // Whole granules; anything; and small writes that meet in the same few granules.
  fc.record({ g: fc.nat(62), n: fc.integer({ min: 1, max: 20 }) }).map(({ g, n }) => clip(g * GRANULE, n * GRANULE)),
  fc.record({ p: fc.nat(SIZE - 1), n: fc.integer({ min: 1, max: 9000 }) }).map(({ p, n }) => clip(p, n)),
  fc.record({ p: fc.nat(2000), n: fc.integer({ min: 1, max: 700 }) }).map(({ p, n }) => clip(p, n)),
);

function clip(posBytes: number, lenBytes: number): { posBytes: number; lenBytes: number } {
  return { posBytes, lenBytes: Math.min(lenBytes, SIZE - posBytes) };
}

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc
      .record({ range, fua: fc.nat(5), zero: fc.nat(7) })
      .map(({ range: r, fua, zero }) => ({ kind: 'write' as const, ...r, fua: fua === 0, zero: zero === 0 })),
  },
  { weight: 5, arbitrary: range.map((r) => ({ kind: 'read' as const, ...r })) },
  { weight: 2, arbitrary: fc.constant({ kind: 'flush' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'longZero' as const }) },
  { weight: 3, arbitrary: fc.double({ min: 0, max: 5, noNaN: true }).map((ms) => ({ kind: 'wait' as const, ms })) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 20 }).map((nth) => ({ kind: 'failBelow' as const, nth })) },
  { weight: 1, arbitrary: fc.constant({ kind: 'cut' as const }) },
);

interface Run {
  volatile: string;
  lose: string;
  torn: number;
  latencyMs: number;
  /** Is the latency before the effect, or between the effect and the answer? */
  isLate: boolean;
  seed: number;
  steps: Step[];
}

const run: fc.Arbitrary<Run> = fc.record({
  volatile: fc.constantFrom('4K', '16K', '64K', '1M'),
  lose: fc.constantFrom('random', 'random', 'random', 'all', 'none'),
  torn: fc.constantFrom(0, 0.25, 1),
  latencyMs: fc.constantFrom(0, 1, 4),
  isLate: fc.boolean(),
  seed: fc.nat(1_000_000),
  steps: fc.array(step, { minLength: 1, maxLength: 60 }),
});

/** One life after the other; a cut ends each of them. */
class Player {
  readonly model = new DiskModel();
  private readonly kit: BrickKit<PowerfailBrick>;
  private unanswered = 0;

  constructor(private readonly plan: Run) {
    const { volatile, lose, torn, seed } = plan;
    // Longer than the model knows, so that one ZERO can be too long for the cache.
    this.kit = new BrickKit(
      PowerfailBrick,
      { volatile, lose, torn, seed },
      { disk: { size: '2M' }, arenaBytes: 2 ** 23, bricks: [LateAnswers] },
    );
  }

  async play(): Promise<void> {
    await this.kit.open();
    await this.addLatency();
    for (const s of this.plan.steps) this.step(s);
    this.cut();
    assert.equal(this.unanswered, 0);
    await this.kit.close();
  }

  private async addLatency(): Promise<void> {
    const { kit } = this;
    const { isLate, seed, latencyMs: ms } = this.plan;
    if (!isLate) return kit.disk.shuffleAnswers(seed, ms);
    const late = { name: 'late', type: 'test-late', params: { seed, ms } };
    await kit.settle(kit.graph.insert({ consumer: 'brick', input: 'next', nr: 0 }, late));
  }

  private step(s: Step): void {
    if (s.kind === 'write') this.write(s.posBytes, s.lenBytes, s.fua, s.zero);
    else if (s.kind === 'read') this.read(s.posBytes, s.lenBytes);
    else if (s.kind === 'flush') this.send({ op: 'flush' }, this.model.flush());
    else if (s.kind === 'longZero') this.longZero();
    else if (s.kind === 'wait') this.kit.clock.advanceMs(s.ms);
    else if (s.kind === 'failBelow') this.kit.disk.failAt = s.nth;
    else this.cut();
  }

  private write(posBytes: number, lenBytes: number, isFua: boolean, isZero: boolean): void {
    const data = isZero ? new Uint8Array(lenBytes) : this.model.fresh(lenBytes);
    const flags = isFua ? F_FUA : 0;
    const answer = this.model.write(posBytes, data, isFua);
    this.send(isZero ? { op: 'zero', posBytes, lenBytes, flags } : { op: 'write', posBytes, data, flags }, answer);
  }

  /** Goes below by itself, so overlapping requests must not be under way: the order would be undefined. */
  private longZero(): void {
    this.kit.clock.advanceMs(1000);
    this.send({ op: 'zero', posBytes: 0, lenBytes: 2 ** 20 + 4096 }, this.model.write(0, new Uint8Array(SIZE), false));
    this.kit.clock.advanceMs(1000);
  }

  private read(posBytes: number, lenBytes: number): void {
    const check = this.model.read(posBytes, lenBytes);
    this.unanswered++;
    this.kit.request({ op: 'read', posBytes, lenBytes }, (answer) => {
      this.unanswered--;
      check(answer);
    });
  }

  private send(request: Parameters<BrickKit['request']>[0], answered: (err: number) => void): void {
    this.unanswered++;
    this.kit.request(request, ({ err }) => {
      this.unanswered--;
      answered(err);
    });
  }

  private cut(): void {
    const { kit } = this;
    // What the disk refuses while power fails is lost; with "none" we want to see that nothing else is.
    if (this.plan.lose === 'none') kit.disk.failAt = 0;
    kit.graph.setParam('brick', 'cut', true);
    kit.clock.advanceMs(1000);
    assert.equal(kit.brick.state, 'off');
    this.model.checkAfterCut(kit.disk.store, this.plan.lose);
    assert.equal(kit.brick.volatileBytes, 0);
    kit.disk.failAt = 0;
    kit.graph.setParam('brick', 'restart', true);
    this.checkReadable();
  }

  private checkReadable(): void {
    let back: Uint8Array | undefined;
    this.kit.read({ posBytes: 0, lenBytes: SIZE }, (answer) => (back = answer.data));
    this.kit.clock.advanceMs(100);
    assert.ok(Buffer.compare(back!, this.kit.disk.store.subarray(0, SIZE)) === 0, 'reads back what is on the disk');
  }
}

describe('PowerfailBrick, as any disk with a volatile cache,', function () {
  this.timeout(120_000);
  const numRuns = Number(process.env.POWERFAIL_RUNS ?? 150);

  it('leaves in every granule the durable value or a later one, never loses a flush or FUA, and reads the latest', async () => {
    await fc.assert(
      fc.asyncProperty(run, (plan) => new Player(plan).play()),
      { numRuns },
    );
  });

  it('really loses, keeps and tears: a test that never lost anything would prove nothing', async () => {
    const seen = { lost: 0, kept: 0, torn: 0, middle: 0 };
    for (let seed = 1; seed <= 40; seed++) {
      const kit = new BrickKit(PowerfailBrick, { seed, torn: 0.3 }, { arenaBytes: 2 ** 23 });
      await kit.open();
      // Every request of 8 granules is written three times.
      for (let i = 0; i < 16; i++)
        for (let version = 1; version <= 3; version++)
          await kit.answerOf({ op: 'write', posBytes: i * 4096, data: new Uint8Array(4096).fill(version) });
      kit.graph.setParam('brick', 'cut', true);
      kit.run();
      for (let i = 0; i < 16; i++) {
        const values = Array.from({ length: 8 }, (_, g) => kit.disk.store[i * 4096 + g * 512]!);
        if (values.every((value) => value === 0)) seen.lost++;
        else if (values.every((value) => value === 3)) seen.kept++;
        else if (values.every((value) => value === values[0])) seen.middle++;
        else seen.torn++;
      }
      await kit.close();
    }
    for (const [what, times] of Object.entries(seen)) assert.ok(times > 20, `${what} only ${times} times of 640`);
  });
});
