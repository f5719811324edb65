import assert from 'node:assert/strict';
import { EINVAL, ENOSPC, ENOTCONN, ENOTRECOVERABLE, EOPNOTSUPP, ESHUTDOWN } from '../errno.js';
import { CAP_GROW, CAP_WRITE, type XioInfo } from '../request/info.js';
import { F_FUA, OP_FLUSH } from '../request/ops.js';
import type { XioObject } from '../request/xio-object.js';
import { BrickKit, createTestHost, useBrickKit, type ProbeRequest } from '../testing/index.js';
import { BrickBase } from './brick-base.js';
import { FilterBrick } from './filter-brick.js';
import { Brick } from './meta.js';

@Brick({ type: 'test-pass', inputs: { next: {} }, ops: 'all' })
class Pass extends FilterBrick {}

/** Throws where it is told to. */
@Brick({ type: 'test-thrower', inputs: { next: {} }, ops: 'all' })
class Thrower extends FilterBrick {
  where: 'io' | 'io after passing on' | 'complete' | 'complete after handing on' | 'nowhere' = 'nowhere';
  override io(o: XioObject): void {
    if (o.op !== OP_FLUSH) return this.next.io(o);
    if (this.where === 'io') throw new Error('in io');
    o.push(this);
    this.next.io(o);
    if (this.where === 'io after passing on') throw new Error('in io, too late');
  }
  override complete(o: XioObject): void {
    if (this.where === 'complete') throw new Error('in complete');
    o.done(o.err);
    if (this.where === 'complete after handing on') throw new Error('in complete, too late');
  }
}

/** A consumer that throws at its answers. */
@Brick({ type: 'test-bad-consumer', inputs: { next: {} } })
class BadConsumer extends BrickBase {
  send(): void {
    const o = this.ctx.pool.take(this, 0)!;
    o.op = OP_FLUSH;
    o.push(this);
    this.input('next').io(o);
  }
  complete(): void {
    throw new Error('consumer');
  }
}

@Brick({ type: 'test-growing' })
class Growing extends BrickBase {
  info(into: XioInfo): number {
    into.size = 1000;
    into.maxLen = 4096;
    into.caps = CAP_GROW | CAP_WRITE;
    return 0;
  }
  io(o: XioObject): void {
    this.ctx.loop.finish(o, 0);
  }
}

describe('a wire', () => {
  describe('answers for its provider', () => {
    const kit = useBrickKit(Pass, {}, { disk: { align: 512, size: '64K', maxLen: '8K', fua: 0, zero: 0 } });
    const verdicts: [string, ProbeRequest, number][] = [
      ['a position that is not aligned', { op: 'read', posBytes: 100, lenBytes: 512 }, -EINVAL],
      ['a length that is not aligned', { op: 'read', posBytes: 512, lenBytes: 100 }, -EINVAL],
      ['a read beyond the end', { op: 'read', posBytes: 65_024, lenBytes: 1024 }, -EINVAL],
      ['a write beyond the end', { op: 'write', posBytes: 65_536, data: new Uint8Array(512) }, -ENOSPC],
      ['a negative position', { op: 'read', posBytes: -512, lenBytes: 512 }, -EINVAL],
      ['a position that is no number', { op: 'read', posBytes: NaN, lenBytes: 512 }, -EINVAL],
      ['a position far beyond 2^31', { op: 'read', posBytes: 2 ** 45, lenBytes: 512 }, -EINVAL],
      ['a request that is too long', { op: 'read', posBytes: 0, lenBytes: 16_384 }, -EINVAL],
      ['an operation that is not offered', { op: 'zero', posBytes: 0, lenBytes: 512 }, -EOPNOTSUPP],
      ['FUA that is not offered', { op: 'write', posBytes: 0, data: new Uint8Array(512), flags: F_FUA }, -EOPNOTSUPP],
      ['FUA on a read, where it means nothing', { op: 'read', posBytes: 0, lenBytes: 512, flags: F_FUA }, 0],
      ['the last block', { op: 'read', posBytes: 65_024, lenBytes: 512 }, 0],
      ['a trim longer than any request', { op: 'trim', posBytes: 0, lenBytes: 65_536 }, 0],
    ];
    for (const [what, request, expected] of verdicts) {
      it(`${what}: ${expected}`, async () => {
        // Where the probe is the one who is wrong, its own wire answers.
        const { err } = await kit.answerOf(request);
        assert.equal(err, expected);
        if (expected !== 0) {
          assert.equal(kit.disk.seen.length, 0, 'the provider must not see it');
          assert.equal(kit.graph.wire({ consumer: 'probe', input: 'next', nr: 0 }).rejected, 1);
        }
      });
    }

    it('that is off: ESHUTDOWN, also after it was on', async () => {
      await kit.settle(kit.graph.release('probe'));
      await kit.settle(kit.graph.release('brick'));
      assert.equal((await kit.answerOf({ op: 'flush' })).err, -ESHUTDOWN);
    });

    it('that is not there: ENOTCONN', async () => {
      await kit.settle(kit.graph.disconnect({ consumer: 'probe', input: 'next', nr: 0 }));
      assert.equal((await kit.answerOf({ op: 'flush' })).err, -ENOTCONN);
    });
  });

  it('lets requests pass the end of a growing provider, but not its longest length', async () => {
    const host = createTestHost({ bricks: [Growing] });
    host.graph.add('end', 'test-growing');
    host.graph.add('probe', 'test-probe');
    host.graph.connect({ consumer: 'probe', input: 'next', nr: 0 }, 'end');
    for (const name of ['end', 'probe']) await host.clock.settle(host.graph.press(name));
    const probe = host.graph.get('probe') as unknown as {
      send(r: ProbeRequest, done: (a: { err: number }) => void): void;
    };
    const errors: number[] = [];
    for (const lenBytes of [10, 4096, 4097])
      probe.send({ op: 'write', posBytes: 5000, data: new Uint8Array(lenBytes) }, (a) => errors.push(a.err));
    host.clock.runUntilIdle();
    assert.deepEqual(errors, [0, 0, -EINVAL]);
  });

  it('keeps requests at its gate in order, and they are not under way', async () => {
    const kit = new BrickKit(Pass);
    await kit.open();
    const wire = kit.graph.wire({ consumer: 'probe', input: 'next', nr: 0 });
    const order: number[] = [];
    wire.gate();
    for (let i = 0; i < 5; i++) kit.read({ posBytes: i, lenBytes: 1 }, () => order.push(i));
    assert.deepEqual([wire.waiting, wire.held, order.length], [5, 0, 0]);
    wire.ungate();
    kit.run();
    assert.deepEqual(order, [0, 1, 2, 3, 4]);
    assert.deepEqual(
      kit.disk.seen.map((s) => s.posBytes),
      [0, 1, 2, 3, 4],
    );
    await kit.close();
  });
});

describe('a brick that throws on the data path', () => {
  const kit = useBrickKit(Thrower);
  const flush = async (where: Thrower['where']): Promise<{ err: number; threw: string[] }> => {
    const threw: string[] = [];
    kit.graph.onEvent((event) => event.kind === 'threw' && threw.push(event.brick));
    kit.brick.where = where;
    const { err } = await kit.answerOf({ op: 'flush' });
    return { err, threw };
  };

  it('in io: the request is answered ENOTRECOVERABLE', async () => {
    assert.deepEqual(await flush('io'), { err: -ENOTRECOVERABLE, threw: ['brick'] });
  });

  it('in io after it passed the request on: the answer from below counts', async () => {
    assert.deepEqual(await flush('io after passing on'), { err: 0, threw: ['brick'] });
  });

  it('in io after it passed the request on to a gate: the request is not answered twice', async () => {
    const below = kit.graph.wire({ consumer: 'brick', input: 'next', nr: 0 });
    below.gate();
    kit.brick.where = 'io after passing on';
    let answered = 0;
    kit.flush(() => answered++);
    assert.equal(answered, 0);
    below.ungate();
    kit.run();
    assert.equal(answered, 1);
  });

  it('in complete: the request is answered ENOTRECOVERABLE', async () => {
    assert.deepEqual(await flush('complete'), { err: -ENOTRECOVERABLE, threw: ['brick'] });
  });

  it('in complete after it handed on: the answer stands', async () => {
    assert.deepEqual(await flush('complete after handing on'), { err: 0, threw: ['brick'] });
  });

  it('goes off for good, is reported once, and everything in flight still comes back', async () => {
    kit.disk.hold = true;
    const errors: number[] = [];
    const threw: string[] = [];
    kit.graph.onEvent((event) => event.kind === 'threw' && threw.push(event.brick));
    for (let i = 0; i < 10; i++) kit.flush((a) => errors.push(a.err));
    kit.brick.where = 'complete';
    kit.disk.letGo();
    kit.run();
    assert.deepEqual(errors, new Array(10).fill(-ENOTRECOVERABLE));
    assert.deepEqual(threw, ['brick']);
    assert.equal((await kit.answerOf({ op: 'flush' })).err, -ESHUTDOWN);
    await kit.settle(kit.graph.release('probe'));
    assert.equal(kit.brick.power.led, 'off');
    await assert.rejects(kit.settle(kit.graph.press('brick')), { code: 'POWER_FORCED_OFF' });
  });

  it('as a consumer: it goes off, its request ends, and the brick below is not blamed', async () => {
    const host = createTestHost({ bricks: [BadConsumer, Thrower] });
    host.graph.add('disk', 'test-disk');
    host.graph.add('filter', 'test-thrower');
    host.graph.add('top', 'test-bad-consumer');
    host.graph.connect({ consumer: 'filter', input: 'next', nr: 0 }, 'disk');
    host.graph.connect({ consumer: 'top', input: 'next', nr: 0 }, 'filter');
    for (const name of ['disk', 'filter', 'top']) await host.clock.settle(host.graph.press(name));
    const threw: string[] = [];
    host.graph.onEvent((event) => event.kind === 'threw' && threw.push(event.brick));
    (host.graph.get('top') as BadConsumer).send();
    host.clock.runUntilIdle();
    assert.deepEqual(threw, ['top']);
    assert.equal(host.loop.pool.outstanding().length, 0);
    await host.clock.settle(host.graph.release('top'));
    assert.equal(host.graph.get('filter').power.led, 'on');
  });
});
