import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { BrickBase } from '../brick/brick-base.js';
import { EOPNOTSUPP } from '../errno.js';
import { F_FUA, F_MAY_TRIM } from '../request/ops.js';
import { BrickKit, type ProbeRequest } from '../testing/index.js';
import { AlignBrick, FuaBrick, SplitBrick, ZeroBrick } from './index.js';

const SIZE = 32 * 1024;

/** One request in the history: when it began and ended, and what it wrote where. */
interface Step {
  kind: 'write' | 'zero' | 'trim';
  id: number;
  start: number;
  end: number;
  /** Only this part may have been changed (TRIM: whole blocks). */
  firstByte: number;
  lastByte: number;
  /** Its bytes may or may not be there: it failed, or it is a hint. */
  isDoubtful: boolean;
}

/**
 * What a device may answer: each byte is that of a write which no later write has replaced. "Later" means begun after the
 * other one had been answered; requests that overlap in time have no order.
 */
class ByteModel {
  private now = 0;
  private readonly steps: Step[] = [];

  begin(kind: Step['kind'], firstByte: number, lastByte: number): Step {
    const step: Step = {
      kind,
      id: this.steps.length + 1,
      start: this.now++,
      end: Infinity,
      firstByte,
      lastByte,
      isDoubtful: kind === 'trim',
    };
    this.steps.push(step);
    return step;
  }

  end(step: Step, err: number): void {
    step.end = this.now++;
    if (err < 0) step.isDoubtful = true;
  }

  tick(): number {
    return this.now++;
  }

  valueOf(step: Step, pos: number): number {
    return step.kind === 'write' ? valueAt(step.id, pos) : 0;
  }

  /** @param from the read was sent @param to it was answered */
  mayBe(pos: number, value: number, from: number, to: number): boolean {
    const here = this.steps.filter((s) => s.firstByte <= pos && pos <= s.lastByte && s.start < to);
    const isReplaced = (end: number): boolean => here.some((v) => !v.isDoubtful && v.start > end && v.end < from);
    if (value === 0 && !isReplaced(-1)) return true;
    return here.some((s) => this.valueOf(s, pos) === value && !isReplaced(s.end));
  }

  check(posBytes: number, data: Uint8Array, from: number, to: number): void {
    data.forEach((value, i) => {
      if (!this.mayBe(posBytes + i, value, from, to))
        assert.fail(`byte ${posBytes + i} is ${value}: it was replaced, or never written`);
    });
  }
}

function valueAt(id: number, pos: number): number {
  return (id * 31 + pos * 7 + (pos >> 8) * 3 + 1) & 0xff;
}

const request = fc.record({
  op: fc.constantFrom<'read' | 'write' | 'zero' | 'trim' | 'flush'>(
    'read',
    'write',
    'write',
    'write',
    'zero',
    'trim',
    'flush',
  ),
  pos: fc.nat(SIZE - 1),
  len: fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 0, max: 3000 }) }, { weight: 1, arbitrary: fc.nat(SIZE) }),
  flags: fc.constantFrom(0, 0, F_FUA, F_MAY_TRIM),
  pauseUs: fc.constantFrom(0, 0, 0, 300),
});
type Planned = typeof request extends fc.Arbitrary<infer T> ? T : never;

interface World {
  align: number;
  maxLen: number;
  seed: number;
}
const world = fc.record({
  align: fc.constantFrom(1, 512, 4096),
  maxLen: fc.constantFrom(4096, 8192, 20480),
  seed: fc.nat(1000),
});

/** Sends the plan through the brick, with answers of the disk in random order, and checks every read and the end state. */
async function play(kit: BrickKit, plan: readonly Planned[], at: World, failAt = 0): Promise<number> {
  await kit.open();
  // A failed assertion in an answer is an error that the probe throws on the data path; the graph reports it.
  const thrown: string[] = [];
  kit.graph.onEvent((event) => event.kind === 'threw' && thrown.push(`${event.brick}: ${event.message}`));
  const { cached } = kit.graph.wire({ consumer: 'probe', input: 'next', nr: 0 });
  const model = new ByteModel();
  kit.disk.shuffleAnswers(at.seed, 1);
  kit.disk.failAt = failAt;
  let answered = 0;
  let sent = 0;
  for (const planned of plan.map((p) => ({ ...p }))) {
    // FUA that is not offered is refused at the wire.
    if (cached.fua === 0) planned.flags &= ~F_FUA;
    if (send(kit, model, planned, cached.align, Math.min(cached.maxLen, cached.size), at.align, () => answered++))
      sent++;
    if (planned.pauseUs > 0) await kit.runFor(planned.pauseUs / 1000);
  }
  for (let waited = 0; answered < sent && waited < 10_000; waited++) await kit.runFor(1);
  assert.deepEqual(thrown, []);
  assert.equal(answered, sent, 'requests were never answered');
  const failed = kit.disk.failed;
  kit.disk.failAt = 0;
  model.check(0, kit.disk.store, model.tick(), model.tick());
  await kit.close();
  return failed;
}

function send(
  kit: BrickKit,
  model: ByteModel,
  planned: Planned,
  align: number,
  longest: number,
  block: number,
  done: () => void,
): boolean {
  const posBytes = Math.floor(planned.pos / align) * align;
  const lenBytes = Math.max(align, Math.floor(Math.min(planned.len, longest, SIZE - posBytes) / align) * align);
  const request: ProbeRequest = { op: planned.op, posBytes, lenBytes, flags: planned.flags };
  if (planned.op === 'flush') return kit.probe.send({ op: 'flush' }, done);
  if (planned.op === 'read') {
    const from = model.tick();
    return kit.probe.send(request, (answer) => {
      done();
      if (answer.err === 0) model.check(posBytes, answer.data, from, model.tick());
    });
  }
  const isTrim = planned.op === 'trim';
  const first = isTrim ? Math.ceil(posBytes / block) * block : posBytes;
  const last = (isTrim ? Math.floor((posBytes + lenBytes) / block) * block : posBytes + lenBytes) - 1;
  const step = model.begin(planned.op, first, last);
  if (planned.op === 'write')
    request.data = Uint8Array.from({ length: lenBytes }, (_, i) => valueAt(step.id, posBytes + i));
  return kit.probe.send(request, (answer) => {
    done();
    model.end(step, answer.err);
    assert.notEqual(answer.err, -EOPNOTSUPP, `${planned.op} is advertised`);
  });
}

type Build = (at: World) => BrickKit;
const kitOf = (cls: new () => BrickBase, disk: Record<string, unknown>, params = {}): BrickKit =>
  new BrickKit(cls, params, { disk: { size: SIZE, ...disk } });

const builds: Record<string, Build> = {
  align: (at) => kitOf(AlignBrick, { align: at.align, maxLen: Math.max(at.maxLen, at.align) }),
  'align with blocks of its own': () => kitOf(AlignBrick, { align: 512, maxLen: 8192 }, { block: 4096 }),
  split: (at) => kitOf(SplitBrick, { align: Math.min(at.align, 512), maxLen: at.maxLen, fua: at.seed % 3 }),
  zero: (at) => kitOf(ZeroBrick, { align: Math.min(at.align, 512), maxLen: at.maxLen, zero: 0, fua: 1 }),
  'zero by trim': (at) => kitOf(ZeroBrick, { maxLen: at.maxLen, zero: 0 }, { mode: 'trim' }),
  fua: () => kitOf(FuaBrick, { fua: 0 }),
  'fua for everything': () => kitOf(FuaBrick, { fua: 0 }, { mode: 'force' }),
};

describe('adaptors against a model of bytes', function () {
  this.timeout(120_000);

  for (const [name, build] of Object.entries(builds)) {
    const blockOf = (at: World): World =>
      name.endsWith('its own') ? { ...at, align: 4096 } : { ...at, align: name === 'align' ? at.align : 1 };

    it(`${name}: overlapping requests that overtake each other leave no byte that nobody wrote last`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 40 }), world, async (plan, at) => {
          await play(build(at), plan, blockOf(at));
        }),
        { numRuns: 40, seed: 7 },
      );
    });

    it(`${name}: stays whole and leaks nothing when the provider fails at its Nth request, for N = 1, 2, 3 …`, async () => {
      const plans = fc.sample(fc.tuple(fc.array(request, { minLength: 12, maxLength: 12 }), world), {
        numRuns: 2,
        seed: 3,
      });
      for (const [plan, at] of plans) {
        let failed = 1;
        for (let nth = 1; failed > 0; nth++) failed = await play(build(at), plan, blockOf(at), nth);
      }
    });
  }
});
