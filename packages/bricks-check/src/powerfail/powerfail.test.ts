import assert from 'node:assert/strict';
import { EIO, ENOSPC, ESHUTDOWN, F_FUA } from '@mars/brick-core';
import { BrickKit, describeBrickConformance, useBrickKit } from '@mars/brick-core/testing';
import { RamBrick } from '../ram/ram.js';
import { PowerfailBrick } from './powerfail.js';

describe('PowerfailBrick', () => {
  describe('with room for everything', () => describeBrickConformance(useBrickKit(PowerfailBrick, { volatile: '8M' })));
  // Here there are more ticks than requests, and the clock of the kit allocates per tick; measured above.
  const more = { allocationFree: false };
  describe('with a tiny cache', () => describeBrickConformance(useBrickKit(PowerfailBrick, { volatile: '16K' }), more));
  describe('over a disk with blocks of 4096', () =>
    describeBrickConformance(
      useBrickKit(PowerfailBrick, { volatile: '64K' }, { disk: { align: 4096, fua: 0 } }),
      more,
    ));

  describe('as a cache', () => {
    const kit = useBrickKit(PowerfailBrick, { lose: 'all' }, { disk: { size: '2M' } });

    it('answers a write before anything reaches the disk, and reads it back', async () => {
      assert.equal((await write(kit, 1000, 'volatile')).err, 0);
      assert.deepEqual(opsBelow(kit), []);
      assert.equal(await text(kit, 998, 12), '\0\0volatile\0\0');
    });

    it('makes everything durable with FLUSH, in one flush below', async () => {
      await write(kit, 0, 'a');
      await write(kit, 9000, 'b');
      await kit.answerOf({ op: 'flush' });
      assert.deepEqual(opsBelow(kit), ['write', 'write', 'flush']);
      assert.equal(kit.disk.durable[9000], 'b'.charCodeAt(0));
    });

    it('makes a FUA write durable, and leaves others volatile', async () => {
      await write(kit, 0, 'other');
      await kit.answerOf({ op: 'write', posBytes: 8192, data: 'fua', flags: F_FUA });
      assert.equal(Buffer.from(kit.disk.durable.subarray(8192, 8195)).toString(), 'fua');
      assert.equal(kit.disk.durable[0], 0);
    });

    it('writes overlapping writes back in their order', async () => {
      for (const data of ['aaaaaaaa', 'bbbb', 'cc']) await write(kit, 4094, data);
      await kit.answerOf({ op: 'write', posBytes: 4095, data: 'D', flags: F_FUA });
      await kit.answerOf({ op: 'flush' });
      assert.equal(Buffer.from(kit.disk.store.subarray(4094, 4102)).toString(), 'cDbbaaaa');
      assert.equal(await text(kit, 4094, 8), 'cDbbaaaa');
    });

    it('shares one flush below among those that wait for it', () => {
      kit.disk.hold = true;
      let answered = 0;
      for (let i = 0; i < 5; i++) kit.flush(() => answered++);
      kit.disk.letGo();
      kit.disk.hold = true;
      kit.run();
      kit.disk.letGo();
      kit.run();
      assert.equal(answered, 5);
      assert.ok(opsBelow(kit).length <= 2, 'five flushes need two flushes below at most');
    });

    it('gives a read that is under way the data that was written back meanwhile', async () => {
      await write(kit, 0, 'new');
      kit.disk.hold = true;
      let seen = '';
      kit.read({ posBytes: 0, lenBytes: 3 }, (answer) => (seen = Buffer.from(answer.data).toString()));
      kit.disk.hold = false;
      // The read is held below with the old data of the disk; the write goes past it and leaves the cache.
      await kit.answerOf({ op: 'flush' });
      kit.disk.store.fill(0, 0, 3);
      kit.disk.letGo();
      kit.run();
      assert.equal(seen, 'new');
    });

    it('does not put old data over what went below later, although a slow read keeps it alive', async () => {
      await write(kit, 0, 'old');
      kit.disk.hold = true;
      kit.read({ posBytes: 0, lenBytes: 3 });
      kit.disk.hold = false;
      await kit.answerOf({ op: 'zero', posBytes: 0, lenBytes: 2 ** 20 + 4096 });
      assert.equal(await text(kit, 0, 3), '\0\0\0');
      kit.disk.letGo();
      kit.run();
    });

    it('keeps a long ZERO behind the writes before it and before the writes after it', async () => {
      await write(kit, 0, 'before');
      await kit.answerOf({ op: 'zero', posBytes: 0, lenBytes: 2 ** 20 + 4096 });
      assert.deepEqual(opsBelow(kit), ['write', 'zero']);
      await write(kit, 3, 'after');
      await kit.answerOf({ op: 'flush' });
      assert.equal(Buffer.from(kit.disk.store.subarray(0, 8)).toString(), '\0\0\0after');
    });

    it('loses nothing when it is switched off in peace', async () => {
      await write(kit, 500, 'kept');
      await release(kit);
      assert.equal(Buffer.from(kit.disk.durable.subarray(500, 504)).toString(), 'kept');
      await kit.pressAll();
      assert.equal(await text(kit, 500, 4), 'kept');
    });
  });

  describe('when the cache is full', () => {
    const kit = useBrickKit(PowerfailBrick, { volatile: '8K' });

    it('takes a write that is larger than the cache, piece by piece', async () => {
      const data = Uint8Array.from({ length: 100_000 }, (_, i) => i);
      assert.equal((await kit.answerOf({ op: 'write', posBytes: 5000, data })).err, 0);
      assert.ok(kit.brick.volatileBytes <= 8192);
      const { data: back } = await kit.answerOf({ op: 'read', posBytes: 5000, lenBytes: data.length });
      assert.ok(Buffer.compare(back, data) === 0);
    });

    it('fails the write that waits when nothing can be written back, and recovers when it can again', async () => {
      await write(kit, 0, 'a');
      await write(kit, 4096, 'b');
      kit.disk.failAt = 1;
      kit.disk.failWith = -ENOSPC;
      assert.equal((await write(kit, 8192, 'c')).err, -ENOSPC);
      assert.equal((await write(kit, 8192, 'd')).err, 0);
      await kit.answerOf({ op: 'flush' });
      assert.equal(await text(kit, 8192, 1), 'd');
      assert.equal(kit.disk.store[0], 'a'.charCodeAt(0));
    });
  });

  describe('when the disk fails', () => {
    const kit = useBrickKit(PowerfailBrick);

    it('fails the flush, keeps the data, and writes it with the next flush', async () => {
      await write(kit, 0, 'data');
      kit.disk.failAt = 1;
      assert.equal((await kit.answerOf({ op: 'flush' })).err, -EIO);
      assert.equal(kit.disk.store[0], 0);
      assert.equal((await kit.answerOf({ op: 'flush' })).err, 0);
      assert.equal(Buffer.from(kit.disk.durable.subarray(0, 4)).toString(), 'data');
    });

    it('fails a FUA write when only the flush below fails', async () => {
      kit.disk.failAt = 2;
      const { err } = await kit.answerOf({ op: 'write', posBytes: 0, data: 'x', flags: F_FUA });
      assert.equal(err, -EIO);
    });
  });

  it('says what is lost when it cannot write back while it is switched off', async () => {
    const kit = new BrickKit(PowerfailBrick, {});
    await kit.open();
    await write(kit, 0, 'doomed');
    kit.graph.add('full', 'test-disk');
    await kit.settle(kit.graph.press('full'));
    // Every write-back fails.
    kit.disk.io = (o) => kit.loop.finish(o, -ENOSPC);
    await assert.rejects(release(kit), /volatile data cannot be written back \(ENOSPC\)/);
    assert.equal(kit.brick.power.led, 'off');
    await kit.close();
  });

  describe('when power is cut', () => {
    const kit = useBrickKit(PowerfailBrick, { lose: 'all' });

    it('loses what was not durable, keeps what was, and fails every request with ESHUTDOWN until power is back', async () => {
      await write(kit, 0, 'durable');
      await kit.answerOf({ op: 'flush' });
      await write(kit, 0, 'gone!!!');
      cut(kit);
      for (const op of ['read', 'zero', 'trim'] as const)
        assert.equal((await kit.answerOf({ op, posBytes: 0, lenBytes: 512 })).err, -ESHUTDOWN);
      assert.equal((await kit.answerOf({ op: 'flush' })).err, -ESHUTDOWN);
      assert.equal((await write(kit, 0, 'no')).err, -ESHUTDOWN);
      kit.graph.setParam('brick', 'restart', true);
      assert.equal(await text(kit, 0, 7), 'durable');
    });

    it('fails what is under way', () => {
      const errs: number[] = [];
      kit.disk.hold = true;
      kit.read({ posBytes: 0, lenBytes: 512 }, (a) => errs.push(a.err));
      kit.write({ posBytes: 0, data: 'x', flags: F_FUA }, (a) => errs.push(a.err));
      kit.flush((a) => errs.push(a.err));
      kit.trim({ posBytes: 0, lenBytes: 512 }, (a) => errs.push(a.err));
      cut(kit);
      kit.disk.letGo();
      kit.run();
      assert.deepEqual(errs, [-ESHUTDOWN, -ESHUTDOWN, -ESHUTDOWN, -ESHUTDOWN]);
    });

    it('comes back by being switched off and on, too', async () => {
      await write(kit, 0, 'gone');
      cut(kit);
      await release(kit);
      await kit.pressAll();
      assert.equal(kit.brick.state, 'on');
      assert.equal(await text(kit, 0, 4), '\0\0\0\0');
    });

    it('publishes what happened', async () => {
      await write(kit, 0, 'x');
      cut(kit);
      const stats = kit.brick.stats.snapshot();
      assert.equal(stats.facts.cut, true);
      assert.equal(stats.facts.devicePower, 'off');
      assert.equal(stats.counters.cuts, 1);
      assert.equal(stats.counters.lostPieces, 1);
      kit.graph.setParam('brick', 'restart', true);
      assert.equal(kit.brick.stats.snapshot().facts.cut, false);
    });

    it('waits with a restart until what survives has been written', async () => {
      kit.disk.hold = true;
      kit.flush();
      kit.graph.setParam('brick', 'cut', true);
      kit.graph.setParam('brick', 'restart', true);
      assert.equal(kit.brick.state, 'failing');
      kit.disk.letGo();
      kit.run();
      assert.equal(kit.brick.state, 'on');
    });
  });

  it('never leaves a later write without an earlier one of the same granule, even if write-back had stopped between them', async () => {
    const kit = new BrickKit(PowerfailBrick, { lose: 'all' });
    await kit.open();
    await write(kit, 200, 'first');
    await write(kit, 0, 'second');
    // The two make two requests below, by position; the other one fails.
    kit.disk.failAt = 2;
    assert.equal((await kit.answerOf({ op: 'flush' })).err, -EIO);
    assert.deepEqual(opsBelow(kit), ['write', 'write']);
    cut(kit);
    const found = Buffer.from(kit.disk.store.subarray(0, 205)).toString().replaceAll('\0', '');
    assert.equal(found, 'secondfirst');
    await kit.close();
  });

  it('does not come back before everything that was under way below has ended', async () => {
    const kit = new BrickKit(PowerfailBrick, { restartAfter: '1ms' });
    await kit.open();
    const errs: number[] = [];
    kit.disk.hold = true;
    kit.read({ posBytes: 0, lenBytes: 512 }, (a) => errs.push(a.err));
    kit.trim({ posBytes: 0, lenBytes: 512 }, (a) => errs.push(a.err));
    kit.disk.hold = false;
    cut(kit);
    kit.clock.advanceMs(100);
    assert.equal(kit.brick.state, 'failing', 'a TRIM from before the cut could still hit what is written after it');
    kit.disk.letGo();
    kit.clock.advanceMs(100);
    assert.equal(kit.brick.state, 'on');
    assert.deepEqual(errs, [-ESHUTDOWN, -ESHUTDOWN]);
    await kit.close();
  });

  describe('told to lose nothing', () => {
    const kit = useBrickKit(PowerfailBrick, { lose: 'none' });

    it('keeps all of the cache, and makes it durable', async () => {
      await write(kit, 4000, 'x'.repeat(10_000));
      await write(kit, 5000, 'y'.repeat(100));
      cut(kit);
      const expected = 'x'.repeat(1000) + 'y'.repeat(100) + 'x'.repeat(8900);
      assert.equal(Buffer.from(kit.disk.durable.subarray(4000, 14_000)).toString(), expected);
    });
  });

  describe('told when to fail', () => {
    it('fails at the Nth request, which itself fails', async () => {
      const kit = new BrickKit(PowerfailBrick, { cutAtRequest: 3, lose: 'none' });
      await kit.open();
      const errs: number[] = [];
      for (const data of ['1', '2', '3', '4']) errs.push((await write(kit, Number(data), data)).err);
      assert.deepEqual(errs, [0, 0, -ESHUTDOWN, -ESHUTDOWN]);
      // The third was in the cache when power failed, so it may survive although it was never answered.
      assert.equal(Buffer.from(kit.disk.store.subarray(1, 5)).toString(), '123\0');
      await kit.close();
    });

    it('fails after a time, and forgets about it when it is switched off before', async () => {
      const kit = new BrickKit(PowerfailBrick, { cutAfter: '50ms' });
      await kit.open();
      kit.clock.advanceMs(49);
      await release(kit);
      await kit.pressAll();
      kit.clock.advanceMs(49);
      assert.equal(kit.brick.state, 'on');
      kit.clock.advanceMs(2);
      assert.equal(kit.brick.state, 'off');
      await kit.close();
    });
  });

  it('comes back by itself and fails again, when it is told so', async () => {
    const kit = new BrickKit(PowerfailBrick, { cutAfter: '20ms', restartAfter: '5ms' });
    await kit.open();
    const states: string[] = [];
    for (const ms of [1, 18, 2, 5, 18, 2]) {
      kit.clock.advanceMs(ms);
      states.push(kit.brick.state);
    }
    // On from 0 to 20, off to 25, on to 45, off to 50.
    assert.deepEqual(states, ['on', 'on', 'off', 'on', 'on', 'off']);
    await kit.close();
  });

  describe('with the same seed', () => {
    it('loses the same, and with another seed something else', async () => {
      const run = async (seed: number): Promise<string> => {
        const kit = new BrickKit(PowerfailBrick, { seed, torn: 0.5 });
        await kit.open();
        for (let i = 0; i < 40; i++) await write(kit, i * 3000, String.fromCharCode(65 + i).repeat(5000));
        cut(kit);
        const image = Buffer.from(kit.disk.store).toString('base64');
        await kit.close();
        return image;
      };
      assert.equal(await run(1), await run(1));
      const images = new Set(await Promise.all([1, 2, 3, 4].map(run)));
      assert.equal(images.size, 4);
    });
  });

  it('never offers less than what it emulates: FUA on a TRIM is a flush below where the disk has no FUA', async () => {
    const kit = new BrickKit(PowerfailBrick, {}, { disk: { fua: 0 } });
    await kit.open();
    const { err } = await kit.answerOf({ op: 'trim', posBytes: 0, lenBytes: 4096, flags: F_FUA });
    assert.equal(err, 0);
    assert.deepEqual(opsBelow(kit), ['trim', 'flush']);
    assert.equal(kit.disk.seen[0]!.isFua, false);
    await kit.close();
  });

  it('can be taken off its wire at any time: what it holds is written back before anybody looks below', async () => {
    const kit = new BrickKit(PowerfailBrick, { lose: 'all' });
    await kit.open();
    await write(kit, 700, 'still here');
    assert.equal(kit.disk.store[700], 0);
    await kit.settle(kit.graph.swap({ consumer: 'probe', input: 'next', nr: 0 }, 'disk'));
    assert.equal(await text(kit, 700, 10), 'still here');
    await kit.close();
  });

  it('stays on its wire when what it holds cannot be written back', async () => {
    const kit = new BrickKit(PowerfailBrick);
    await kit.open();
    await write(kit, 0, 'kept');
    const { io } = kit.disk;
    kit.disk.io = (o) => kit.loop.finish(o, -EIO);
    await assert.rejects(kit.settle(kit.graph.swap({ consumer: 'probe', input: 'next', nr: 0 }, 'disk')), /EIO/);
    kit.disk.io = io;
    assert.equal(await text(kit, 0, 4), 'kept');
    await kit.close();
  });

  it('shows a growing file as long as it will be', async () => {
    const kit = new BrickKit(PowerfailBrick, { lose: 'all' }, { bricks: [RamBrick] });
    await kit.open();
    await onGrowingFile(kit);
    await write(kit, 0, 'one');
    await write(kit, 5000, 'two');
    const { data } = await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 9000 });
    assert.equal(data.length, 5003);
    assert.equal(Buffer.from(data).toString().replaceAll('\0', ''), 'onetwo');
    await kit.answerOf({ op: 'flush' });
    await write(kit, 5003, 'three');
    cut(kit);
    kit.graph.setParam('brick', 'restart', true);
    assert.equal((await kit.answerOf({ op: 'read', posBytes: 5000, lenBytes: 100 })).lenBytes, 3);
    await kit.close();
  });
});

type Kit = BrickKit<PowerfailBrick>;

function write(kit: Kit, posBytes: number, data: string): ReturnType<Kit['answerOf']> {
  return kit.answerOf({ op: 'write', posBytes, data });
}

async function text(kit: Kit, posBytes: number, lenBytes: number): Promise<string> {
  return Buffer.from((await kit.answerOf({ op: 'read', posBytes, lenBytes })).data).toString();
}

function opsBelow(kit: Kit): string[] {
  return kit.disk.seen.map((seen) => seen.op);
}

function cut(kit: Kit): void {
  kit.graph.setParam('brick', 'cut', true);
  kit.run();
}

async function release(kit: Kit): Promise<void> {
  await kit.settle(kit.graph.release('probe'));
  await kit.settle(kit.graph.release('brick'));
}

async function onGrowingFile(kit: Kit): Promise<void> {
  kit.graph.add('file', 'ram', { grow: true });
  await kit.settle(kit.graph.press('file'));
  await kit.settle(kit.graph.swap({ consumer: 'brick', input: 'next', nr: 0 }, 'file'));
}
