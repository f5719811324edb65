import assert from 'node:assert/strict';
import { EOPNOTSUPP, ESHUTDOWN } from '../errno.js';
import { createRandom, type SeededRandom } from '../machine/random.js';
import { F_FUA, OP_NAMES, type OpName } from '../request/ops.js';
import { bytesPerRequest } from './allocation.js';
import { BrickKit, type Kit } from './kit.js';
import type { ProbeRequest, ProbeResult } from './probe.js';

/**
 * What a brick promises beyond the contract; the suite tests exactly what is declared. Everything defaults to the strictest.
 */
export interface ConformanceOptions {
  /**
   * `exact`: a read returns what was written through the brick (filters that pass data on, stores).
   * `none`: contents are made up or thrown away (null, pattern) or garbled on purpose (error).
   */
  data?: 'exact' | 'none';
  /** The brick answers its consumers' requests from below, so an error of the provider must reach them. */
  passesErrors?: boolean;
  /** After an answered FLUSH, everything that was answered before is durable on the disks below. */
  flushReachesDisk?: boolean;
  /** Steady requests allocate no JavaScript memory (bricks.md 5.3 rule 1). */
  allocationFree?: boolean;
  /** May be put on a wire and taken off again under load (filters). */
  insertable?: boolean;
  /** Answers that are right although nothing failed below (a brick that injects errors); negative errnos. */
  toleratedErrors?: readonly number[];
  /** How many requests the random workloads send; fewer for slow bricks. */
  requests?: number;
}

const DEFAULTS: Required<ConformanceOptions> = {
  data: 'exact',
  passesErrors: true,
  flushReachesDisk: true,
  allocationFree: true,
  insertable: true,
  toleratedErrors: [],
  requests: 300,
};

/** Nothing that JavaScript allocates is smaller than this; less per request is the compiler and the test runner at work. */
const SMALLEST_ALLOCATION_BYTES = 8;

/** Runs for the fail-at-the-Nth-request loop; a brick that sends more requests than this per workload is looked at in part. */
const MAX_FAIL_RUNS = 200;

/**
 * The conformance suite: what every brick must keep, whoever wrote it. Call it inside a `describe`:
 *
 * ```ts
 * describe('DelayBrick', () => {
 *   const kit = useBrickKit(DelayBrick, { write: '10ms' });
 *   describeBrickConformance(kit);
 * });
 * ```
 * Every test uses a kit of its own with the same class, parameters and services. Source: bricks.md 1.6, 5.3; style.md 11.
 */
export function describeBrickConformance(template: Kit, options: ConformanceOptions = {}): void {
  const promises = { ...DEFAULTS, ...options };
  describe(`conformance of ${template.title}`, () => {
    let kit: Kit;
    const fresh = (): Kit => template.clone();
    beforeEach(async () => {
      await closeQuietly(template);
      kit = fresh();
      await kit.open();
    });
    afterEach(() => kit.close());

    describePower(() => kit, fresh);
    if (template.hasOutput) describeRequests(() => kit, promises);
    if (template.hasOutput && template.hasInput) describeFailures(() => kit, fresh, promises);
    if (template.hasOutput && promises.insertable && template.isFilter) describeInsertion(() => kit, promises);
  });
}

// The template belongs to the outer describe, whose hooks have opened it; the suite needs none of it.
async function closeQuietly(template: Kit): Promise<void> {
  await template.close();
}

function describePower(kitNow: () => Kit, fresh: () => Kit): void {
  it('lights its led when pressed, and pressing again changes nothing', async () => {
    const kit = kitNow();
    assert.equal(kit.brick.power.led, 'on');
    await kit.settle(kit.graph.press(kit.top));
    assert.equal(kit.brick.power.led, 'on');
  });

  it('is switched off and on again ten times', async () => {
    const kit = kitNow();
    for (let round = 0; round < 10; round++) {
      await releaseWithProbe(kit);
      assert.equal(kit.brick.power.led, 'off');
      await kit.settle(kit.graph.press(kit.top));
      if (kit.hasOutput) await kit.settle(kit.graph.press('probe'));
      assert.equal(kit.brick.power.led, 'on');
    }
  });

  it('ends up off when it is released while it still switches on', async () => {
    const kit = fresh();
    await kit.open({ press: false });
    for (const brick of kit.graph.providersFirst())
      if (brick.name.startsWith('disk')) await kit.settle(kit.graph.press(brick.name));
    const pressing = kit.graph.press(kit.top);
    const releasing = kit.graph.release(kit.top);
    await kit.settle(Promise.allSettled([pressing, releasing]));
    assert.equal(kit.brick.power.led, 'off');
    await kit.close();
  });

  it('can be built twice in one host without sharing anything', async () => {
    const kit = kitNow();
    if (!(kit instanceof BrickKit)) return;
    kit.graph.add('twin', kit.meta.type, kit.params);
    assert.notEqual(kit.graph.get('twin'), kit.brick);
    assert.equal(kit.graph.get('twin').power.led, 'off');
    assert.equal(kit.brick.power.led, 'on');
  });
}

function describeRequests(kitNow: () => Kit, promises: Required<ConformanceOptions>): void {
  it('answers every request exactly once and gives it back as it was sent', async () => {
    const kit = kitNow();
    const answers = await runWorkload(kit, promises.requests, createRandom(1));
    assert.equal(answers.length, promises.requests);
    assertErrors(answers, promises.toleratedErrors);
  });

  it('serves at least one request of each operation that it advertises', async () => {
    const kit = kitNow();
    for (const op of kit.advertised) {
      const answers: ProbeResult[] = [];
      // A brick that injects errors may hit any single request.
      for (let attempt = 0; attempt < 20 && !answers.some((a) => a.err === 0); attempt++)
        answers.push(await kit.answerOf(sample(kit, op, 0)));
      assert.ok(
        answers.some((a) => a.err === 0),
        `${op} is advertised but fails (${answers[0]?.err})`,
      );
    }
  });

  it('never sees an operation that it does not advertise', async () => {
    const kit = kitNow();
    for (const op of OP_NAMES.filter((name) => !kit.advertised.includes(name))) {
      const { err } = await kit.answerOf(sample(kit, op, 0));
      assert.equal(err, -EOPNOTSUPP, `${op} is not advertised and must be refused`);
    }
  });

  it('tells the truth about its size: the last block is served, beyond it nothing is', async () => {
    const kit = kitNow();
    const info = kit.graph.wire({ consumer: 'probe', input: 'next', nr: 0 }).cached;
    const block = Math.max(info.align, 512);
    if (info.size < block) return;
    const last = Math.floor((info.size - block) / info.align) * info.align;
    assertErrors([await kit.answerOf({ op: 'read', posBytes: last, lenBytes: block })], promises.toleratedErrors);
    const beyond = await kit.answerOf({
      op: 'read',
      posBytes: Math.ceil(info.size / info.align) * info.align,
      lenBytes: block,
    });
    assert.ok(beyond.err < 0 || beyond.lenBytes === 0, 'a read beyond the end must fail or be empty');
  });

  it('takes a request of the longest length that it advertises', async () => {
    const kit = kitNow();
    const info = kit.graph.wire({ consumer: 'probe', input: 'next', nr: 0 }).cached;
    const lenBytes = Math.floor(Math.min(info.maxLen, info.size) / info.align) * info.align;
    assertErrors([await kit.answerOf({ op: 'read', posBytes: 0, lenBytes })], promises.toleratedErrors);
  });

  if (promises.data === 'exact') {
    it('returns what was written', async () => {
      const kit = kitNow();
      if (!kit.advertised.includes('write')) return;
      await checkReadBack(kit, createRandom(7), promises);
    });
  }

  it('drains before its led goes off, and refuses requests while it is off', async () => {
    const kit = kitNow();
    const answers: ProbeResult[] = [];
    for (let i = 0; i < 20; i++) kit.probe.send(randomRequest(kit, createRandom(i)), (a) => answers.push(a));
    await releaseWithProbe(kit);
    assert.equal(answers.length, 20, 'the led went off before every request was answered');
    assert.equal(kit.brick.busy, false);
    const late = await kit.answerOf(sample(kit, 'read', 0));
    assert.equal(late.err, -ESHUTDOWN);
  });

  if (promises.allocationFree) {
    it('allocates nothing per request after warm-up', async function () {
      this.timeout(60_000);
      const bytes = await bytesPerRequest(kitNow());
      assert.ok(bytes < SMALLEST_ALLOCATION_BYTES, `${bytes.toFixed(2)} bytes of JavaScript memory per request`);
    });
  }
}

function describeFailures(kitNow: () => Kit, fresh: () => Kit, promises: Required<ConformanceOptions>): void {
  it('stays whole when its provider fails at the Nth request, for N = 1, 2, 3 …', async function () {
    this.timeout(60_000);
    for (let nth = 1; nth <= MAX_FAIL_RUNS; nth++) {
      const kit = fresh();
      await kit.open();
      kit.disk.failAt = nth;
      const answers = await runWorkload(kit, 60, createRandom(3));
      const wasHit = kit.disk.failed > 0;
      if (wasHit && promises.passesErrors)
        assert.ok(
          answers.some((a) => a.err < 0),
          `request ${nth} below failed, but nobody was told`,
        );
      assert.equal(answers.length, 60);
      await kit.close();
      if (!wasHit) return;
    }
  });

  it('does not mind answers that overtake each other', async () => {
    const kit = kitNow();
    kit.disk.shuffleAnswers(11, 5);
    const answers = await runWorkload(kit, promises.requests, createRandom(5));
    assert.equal(answers.length, promises.requests);
    assertErrors(answers, promises.toleratedErrors);
  });

  it('waits for requests that its provider holds back before its led goes off', async () => {
    const kit = kitNow();
    kit.disk.hold = true;
    let answered = 0;
    for (let i = 0; i < 8; i++) kit.probe.send(randomRequest(kit, createRandom(i)), () => answered++);
    await kit.runFor(1000);
    const releasing = releaseWithProbe(kit);
    await kit.runFor(1000);
    if (kit.disk.heldBack > 0)
      assert.notEqual(kit.brick.power.led, 'off', 'the led went off while requests were under way below');
    kit.disk.letGo('backward');
    await kit.settle(releasing);
    assert.equal(kit.brick.power.led, 'off');
    assert.equal(answered, 8);
  });

  if (promises.flushReachesDisk && promises.data === 'exact') {
    it('makes everything durable that was answered before a FLUSH', async () => {
      const kit = kitNow();
      if (!kit.advertised.includes('flush') || !kit.advertised.includes('write')) return;
      await checkReadBack(kit, createRandom(9), promises);
      assertErrors([await kit.answerOf({ op: 'flush' })], promises.toleratedErrors);
      assert.ok(
        Buffer.compare(kit.disk.store, kit.disk.durable) === 0,
        'a flush was answered, but the disk below was not flushed',
      );
    });
  }
}

function describeInsertion(kitNow: () => Kit, promises: Required<ConformanceOptions>): void {
  it('can be put on a wire and taken off again under load', async () => {
    const kit = kitNow();
    assert.ok(kit instanceof BrickKit);
    kit.disk.shuffleAnswers(13, 2);
    const random = createRandom(17);
    const wire = { consumer: 'probe', input: 'next', nr: 0 };
    const answers: ProbeResult[] = [];
    let sent = 0;
    for (let round = 0; round < 20; round++) {
      for (let i = 0; i < 10; i++) if (kit.probe.send(randomRequest(kit, random), (a) => answers.push(a))) sent++;
      await kit.runFor(0.5);
      await kit.settle(kit.graph.insert(wire, { name: 'extra', type: kit.meta.type, params: kit.params }));
      for (let i = 0; i < 10; i++) if (kit.probe.send(randomRequest(kit, random), (a) => answers.push(a))) sent++;
      await kit.runFor(0.5);
      await kit.settle(kit.graph.remove('extra'));
    }
    await settleAll(kit, answers, sent);
    assertErrors(answers, promises.toleratedErrors);
  });
}

async function releaseWithProbe(kit: Kit): Promise<void> {
  if (kit.hasOutput && kit.graph.get('probe').power.led === 'on') {
    // The probe waits for its own requests, and so would be the one to drain; here the brick must do it.
    kit.graph.get('probe').power.set('off');
    kit.graph.get('probe').power.button = false;
  }
  await kit.settle(kit.graph.release(kit.top));
}

function assertErrors(answers: readonly ProbeResult[], tolerated: readonly number[]): void {
  const bad = answers.find((a) => a.err !== 0 && !tolerated.includes(a.err));
  assert.equal(bad, undefined, `a request failed with ${bad?.err} although nothing failed below`);
}

/** Sends random requests, at most 16 at a time, and waits for all answers. */
async function runWorkload(kit: Kit, count: number, random: SeededRandom): Promise<ProbeResult[]> {
  const answers: ProbeResult[] = [];
  for (let sent = 0; sent < count;) {
    const isRoom = sent - answers.length < 16;
    if (isRoom && kit.probe.send(randomRequest(kit, random), (a) => answers.push(a))) sent++;
    else await kit.runFor(1);
  }
  await settleAll(kit, answers, count);
  return answers;
}

/** An hour of virtual time is for ever. */
async function settleAll(kit: Kit, answers: readonly ProbeResult[], sent: number): Promise<void> {
  for (let waitedMs = 0; answers.length < sent && waitedMs < 3_600_000; waitedMs += 100) await kit.runFor(100);
  assert.equal(answers.length, sent, `${sent - answers.length} of ${sent} requests were never answered`);
  await Promise.resolve();
}

/** Writes distinct blocks all over the device, then reads them all back. */
async function checkReadBack(kit: Kit, random: SeededRandom, promises: Required<ConformanceOptions>): Promise<void> {
  const { align, size } = kit.graph.wire({ consumer: 'probe', input: 'next', nr: 0 }).cached;
  const block = Math.max(align, 512);
  const blocks = Math.min(64, Math.floor(size / block));
  const written = new Map<number, Uint8Array>();
  for (let i = 0; i < blocks; i++) {
    const posBytes = random.int(Math.floor(size / block)) * block;
    const data = new Uint8Array(block);
    random.bytes(data);
    const { err } = await kit.answerOf({ op: 'write', posBytes, data });
    if (err === 0) written.set(posBytes, data);
    else {
      // After a failed write the block may hold old or new data.
      written.delete(posBytes);
      assertErrors([{ err } as ProbeResult], promises.toleratedErrors);
    }
  }
  for (const [posBytes, data] of written) {
    const answer = await kit.answerOf({ op: 'read', posBytes, lenBytes: data.length });
    if (answer.err === 0)
      assert.ok(Buffer.compare(answer.data, data) === 0, `block at ${posBytes} reads back differently`);
  }
}

function randomRequest(kit: Kit, random: SeededRandom): ProbeRequest {
  const ops = kit.advertised;
  const op = random.float() < 0.7 ? ops[random.int(Math.min(2, ops.length))]! : ops[random.int(ops.length)]!;
  const request = sample(kit, op, random.int(1 << 20));
  if (
    op === 'write' &&
    random.float() < 0.2 &&
    kit.graph.wire({ consumer: 'probe', input: 'next', nr: 0 }).cached.fua > 0
  ) {
    request.flags = F_FUA;
  }
  return request;
}

/** A valid request of that operation; `where` scatters it over the device. */
function sample(kit: Kit, op: OpName, where: number): ProbeRequest {
  const { align, size, maxLen } = kit.graph.wire({ consumer: 'probe', input: 'next', nr: 0 }).cached;
  if (op === 'flush') return { op };
  const unit = Math.max(align, 512);
  const units = Math.max(1, Math.floor(size / unit));
  const lenBytes = Math.min(unit * (1 + (where % 8)), Math.floor(maxLen / align) * align, units * unit);
  const posBytes = (where % Math.max(1, units - Math.ceil(lenBytes / unit) + 1)) * unit;
  if (op !== 'write') return { op, posBytes, lenBytes };
  return { op, posBytes, data: new Uint8Array(lenBytes).fill(where & 0xff) };
}
