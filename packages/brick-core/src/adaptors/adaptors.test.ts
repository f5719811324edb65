import assert from 'node:assert/strict';
import { Brick } from '../brick/meta.js';
import { FilterBrick } from '../brick/filter-brick.js';
import { PASS, TransformBrick, type Saved } from '../brick/transform-brick.js';
import { EIO, EOPNOTSUPP } from '../errno.js';
import { F_FAST, F_FUA, F_MAY_TRIM, OP_READ, OP_WRITE } from '../request/ops.js';
import type { XioObject } from '../request/xio-object.js';
import { BrickKit, describeBrickConformance, useBrickKit, type ProbeResult } from '../testing/index.js';
import { AlignBrick, FuaBrick, SplitBrick, ZeroBrick } from './index.js';

const KiB = 1024;
const bytes = (length: number, seed = 1): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 7 + seed) & 0xff);
const opsSeen = (kit: BrickKit): string[] =>
  kit.disk.seen.map((s) => `${s.op} ${s.posBytes}+${s.lenBytes}${s.isFua ? ' fua' : ''}`);

/** Keeps the payload of every write beyond its completion, as the logger does, and looks at it again when told. */
@Brick({ type: 'test-keeper', inputs: { next: {} }, ops: 'all' })
class Keeper extends FilterBrick {
  private readonly kept: { o: XioObject; buf: number; copy: Uint8Array }[] = [];

  override io(o: XioObject): void {
    if (o.op === OP_WRITE) {
      o.retain();
      this.kept.push({ o, buf: o.buf, copy: this.ctx.mem.u8.slice(o.buf, o.buf + o.len) });
    }
    this.next.io(o);
  }

  letGo(): void {
    for (const { o, buf, copy } of this.kept.splice(0)) {
      assert.deepEqual(this.ctx.mem.u8.slice(buf, buf + copy.length), copy, 'payload that was retained has changed');
      o.unretain();
    }
  }
}

/** Inverts data on the way, in a block of its own. */
@Brick({ type: 'test-invert', inputs: { next: {} } })
class Invert extends TransformBrick {
  protected override down(o: XioObject, saved: Saved): number {
    if (o.op === OP_WRITE && this.borrow(o, saved, o.len)) {
      for (let i = 0; i < o.len; i++) this.ctx.mem.u8[o.buf + i] = ~this.ctx.mem.u8[saved.buf + i]!;
    }
    return PASS;
  }

  protected override up(o: XioObject): void {
    if (o.op === OP_READ) for (let i = o.buf; i < o.buf + o.len; i++) this.ctx.mem.u8[i] = ~this.ctx.mem.u8[i]!;
  }
}

describe('AlignBrick', () => {
  describe('over blocks of 4096', () => {
    const kit = useBrickKit(AlignBrick, {}, { disk: { align: 4096, maxLen: '16K' }, bricks: [Keeper] });
    describeBrickConformance(kit);

    it('reads the two blocks of a short write across a border in one go, and keeps the bytes around it', async () => {
      kit.disk.store.fill(0x11);
      await kit.answerOf({ op: 'write', posBytes: 4090, data: bytes(12) });
      assert.deepEqual(opsSeen(kit), ['read 0+8192', 'write 0+8192']);
      assert.deepEqual(kit.disk.store.slice(4090, 4102), bytes(12));
      assert.equal(kit.disk.store[4089], 0x11);
      assert.equal(kit.disk.store[4102], 0x11);
    });

    it('reads only the first and the last block of a longer write', async () => {
      await kit.answerOf({ op: 'write', posBytes: 100, data: bytes(12 * KiB) });
      assert.deepEqual(opsSeen(kit), ['read 0+4096', 'read 12288+4096', 'write 0+16384']);
    });

    it('passes aligned requests as they are', async () => {
      await kit.answerOf({ op: 'write', posBytes: 8192, data: bytes(4096) });
      await kit.answerOf({ op: 'read', posBytes: 8192, lenBytes: 4096 });
      assert.deepEqual(opsSeen(kit), ['write 8192+4096', 'read 8192+4096']);
    });

    it('takes FUA to the write and not to the reads before it', async () => {
      await kit.answerOf({ op: 'write', posBytes: 1, data: 'x', flags: F_FUA });
      assert.deepEqual(opsSeen(kit), ['read 0+4096', 'write 0+4096 fua']);
    });

    it('lets a plain write wait for a read-modify-write of the same block, and others pass', () => {
      kit.disk.hold = true;
      const order: string[] = [];
      kit.write({ posBytes: 10, data: 'misaligned' }, () => order.push('misaligned'));
      kit.write({ posBytes: 0, data: bytes(4096) }, () => order.push('same block'));
      kit.write({ posBytes: 4096, data: bytes(4096) }, () => order.push('other block'));
      assert.deepEqual(opsSeen(kit), ['read 0+4096', 'write 4096+4096']);
      kit.disk.letGo();
      kit.run();
      assert.deepEqual(order, ['other block', 'misaligned', 'same block']);
      assert.deepEqual(kit.disk.store.slice(0, 4096), bytes(4096));
    });

    it('lets a read-modify-write wait for a plain write under way, and nobody overtakes it in its block', () => {
      kit.disk.hold = true;
      kit.write({ posBytes: 0, data: bytes(4096, 3) });
      kit.write({ posBytes: 10, data: 'RMW' });
      kit.write({ posBytes: 0, data: bytes(4096, 9) });
      assert.deepEqual(opsSeen(kit), ['write 0+4096'], 'the third write must not overtake the second');
      kit.disk.letGo();
      kit.run();
      assert.deepEqual(opsSeen(kit), ['write 0+4096', 'read 0+4096', 'write 0+4096', 'write 0+4096']);
      assert.deepEqual(kit.disk.store.slice(0, 4096), bytes(4096, 9));
    });

    it('shrinks a trim to whole blocks, and answers at once when none is left', async () => {
      kit.disk.store.fill(1);
      assert.equal((await kit.answerOf({ op: 'trim', posBytes: 100, lenBytes: 12 * KiB })).err, 0);
      assert.equal((await kit.answerOf({ op: 'trim', posBytes: 100, lenBytes: 4096 })).err, 0);
      assert.deepEqual(opsSeen(kit), ['trim 4096+8192']);
    });

    it('zeroes the inner blocks first, then the two ends', async () => {
      kit.disk.store.fill(1);
      await kit.answerOf({ op: 'zero', posBytes: 4000, lenBytes: 8400, flags: F_FAST });
      const zero = kit.disk.store.slice(4000, 12400);
      assert.deepEqual(zero, new Uint8Array(8400));
      assert.equal(kit.disk.store[3999], 1);
      assert.equal(kit.disk.store[12400], 1);
      assert.equal(kit.disk.seen[0]!.op, 'zero');
    });

    it('changes nothing when the inner part of a zero fails', async () => {
      kit.disk.store.fill(1);
      kit.disk.failAt = 1;
      kit.disk.failWith = -EOPNOTSUPP;
      assert.equal((await kit.answerOf({ op: 'zero', posBytes: 100, lenBytes: 9000, flags: F_FAST })).err, -EOPNOTSUPP);
      assert.equal(kit.disk.store.indexOf(0), -1);
    });

    it('clips the extents of whole blocks to what was asked', async () => {
      const { data } = await kit.answerOf({ op: 'extents', posBytes: 100, lenBytes: 5000 });
      const view = new DataView(data.buffer);
      assert.deepEqual([data.length, view.getFloat64(0, true), view.getFloat64(8, true)], [24, 100, 5000]);
      assert.deepEqual(opsSeen(kit), ['extents 0+8192']);
    });

    it('hints at whole blocks', async () => {
      await kit.answerOf({ op: 'cache', posBytes: 100, lenBytes: 1 });
      assert.deepEqual(opsSeen(kit), ['cache 0+4096']);
    });

    it('keeps a retained chunk valid until it is let go', async () => {
      const wire = { consumer: 'brick', input: 'next', nr: 0 };
      await kit.settle(kit.graph.insert(wire, { name: 'keeper', type: 'test-keeper' }));
      await kit.answerOf({ op: 'write', posBytes: 10, data: bytes(30 * KiB) });
      await kit.answerOf({ op: 'write', posBytes: 64 * KiB + 1, data: bytes(30 * KiB, 5) });
      (kit.graph.get('keeper') as Keeper).letGo();
      await kit.settle(kit.graph.remove('keeper'));
    }).timeout(5000);
  });

  it('offers only whole blocks of a provider whose size is no multiple', async () => {
    const kit = new BrickKit(AlignBrick, {}, { disk: { size: 10_000, align: 4096 } });
    await kit.open();
    const { cached } = kit.graph.wire({ consumer: 'probe', input: 'next', nr: 0 });
    assert.deepEqual([cached.size, cached.align], [8192, 1]);
    assert.equal((await kit.answerOf({ op: 'write', posBytes: 8191, data: 'x' })).err, 0);
    await kit.close();
  });

  it('goes on with one chunk in reserve when the arena is used up by its consumers', async () => {
    const kit = new BrickKit(AlignBrick, {}, { disk: { align: 4096 }, arenaBytes: 2 ** 20 });
    await kit.open();
    const answers: ProbeResult[] = [];
    while (
      kit.probe.send({ op: 'write', posBytes: 8192 * answers.length + 5, data: bytes(4096) }, (a) => answers.push(a))
    );
    const { sent } = kit.probe;
    assert.equal(kit.arena.alloc(1), -1, 'the arena must be empty for this test');
    await kit.runFor(1000);
    assert.equal(answers.length, sent);
    assert.ok(answers.every((a) => a.err === 0));
    await kit.close();
  });
});

describe('SplitBrick', () => {
  describe('over a provider that takes 8 KiB', () => {
    const kit = useBrickKit(SplitBrick, {}, { disk: { maxLen: '8K', align: 512 }, bricks: [Keeper] });
    describeBrickConformance(kit);

    it('starts the pieces in ascending order and joins them', async () => {
      await kit.answerOf({ op: 'write', posBytes: 512, data: bytes(20 * KiB) });
      assert.deepEqual(opsSeen(kit), ['write 512+8192', 'write 8704+8192', 'write 16896+4096']);
      const { data } = await kit.answerOf({ op: 'read', posBytes: 512, lenBytes: 20 * KiB });
      assert.deepEqual(data, bytes(20 * KiB));
    });

    it('passes FUA to every piece where it is native', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: bytes(16 * KiB), flags: F_FUA });
      assert.deepEqual(opsSeen(kit), ['write 0+8192 fua', 'write 8192+8192 fua']);
    });

    it('answers with the first error after all pieces have come back', () => {
      kit.disk.hold = true;
      const answers: number[] = [];
      kit.write({ posBytes: 0, data: bytes(24 * KiB) }, (a) => answers.push(a.err));
      kit.disk.failAt = 2;
      kit.disk.letGo();
      assert.deepEqual(answers, []);
      kit.run();
      assert.deepEqual(answers, [-EIO]);
    });

    it('keeps the order of arrival behind a long request', () => {
      kit.disk.hold = true;
      kit.write({ posBytes: 0, data: bytes(700 * KiB) });
      kit.write({ posBytes: 800 * KiB, data: bytes(512) });
      assert.equal(kit.disk.heldBack, 64, 'pieces in flight are bounded');
      for (let i = 0; i < 4; i++) {
        kit.disk.letGo();
        kit.disk.hold = true;
        kit.run();
      }
      kit.disk.letGo();
      kit.run();
      assert.deepEqual(opsSeen(kit).at(-1), `write ${800 * KiB}+512`);
    });

    it('keeps the payload of retained pieces valid until they are let go', async () => {
      await kit.settle(
        kit.graph.insert({ consumer: 'brick', input: 'next', nr: 0 }, { name: 'keeper', type: 'test-keeper' }),
      );
      for (let i = 0; i < 4; i++) await kit.answerOf({ op: 'write', posBytes: i * 40 * KiB, data: bytes(40 * KiB, i) });
      (kit.graph.get('keeper') as Keeper).letGo();
      await kit.settle(kit.graph.remove('keeper'));
    });

    it('does not block a change of the wire below it', async () => {
      kit.disk.hold = true;
      let answered = 0;
      for (let i = 0; i < 4; i++) kit.write({ posBytes: 0, data: bytes(400 * KiB) }, () => answered++);
      const inserting = kit.graph.insert(
        { consumer: 'brick', input: 'next', nr: 0 },
        { name: 'keeper', type: 'test-keeper' },
      );
      kit.disk.letGo();
      await kit.settle(inserting);
      kit.run();
      assert.equal(answered, 4);
      (kit.graph.get('keeper') as Keeper).letGo();
    });
  });

  it('sends one flush behind the last piece where FUA is only emulated', async () => {
    const kit = new BrickKit(SplitBrick, {}, { disk: { maxLen: '8K', fua: 1 } });
    await kit.open();
    await kit.answerOf({ op: 'write', posBytes: 0, data: bytes(16 * KiB), flags: F_FUA });
    assert.deepEqual(opsSeen(kit), ['write 0+8192', 'write 8192+8192', 'flush 0+0']);
    await kit.close();
  });

  it('makes progress piece by piece when the pool is empty', async () => {
    const kit = new BrickKit(SplitBrick, {}, { disk: { maxLen: '4K' }, poolObjects: 4 });
    await kit.open();
    const others = [1, 2, 3].map(() => kit.loop.pool.take({ objects: 0 }, 0)!);
    const { err } = await kit.answerOf({ op: 'write', posBytes: 0, data: bytes(64 * KiB) });
    assert.equal(err, 0);
    assert.equal(kit.disk.seen.length, 16);
    for (const o of others) kit.loop.pool.free(o);
    await kit.close();
  });
});

describe('ZeroBrick', () => {
  describe('over a provider without ZERO', () => {
    const kit = useBrickKit(ZeroBrick, {}, { disk: { zero: 0, fua: 1, maxLen: '16K' }, bricks: [Keeper] });
    describeBrickConformance(kit);

    it('writes zeroes in pieces that the provider takes', async () => {
      kit.disk.store.fill(1);
      await kit.answerOf({ op: 'zero', posBytes: 1000, lenBytes: 40_000, flags: F_FUA | F_MAY_TRIM });
      assert.deepEqual(kit.disk.store.slice(1000, 41_000), new Uint8Array(40_000));
      assert.deepEqual(opsSeen(kit), ['write 1000+16384', 'write 17384+16384', 'write 33768+7232', 'flush 0+0']);
    });

    it('refuses a zero that must be fast', async () => {
      assert.equal((await kit.answerOf({ op: 'zero', posBytes: 0, lenBytes: 4096, flags: F_FAST })).err, -EOPNOTSUPP);
      assert.deepEqual(opsSeen(kit), []);
    });

    it('keeps its zeroes while somebody below still looks at them, even after it was switched off', async () => {
      const wire = { consumer: 'brick', input: 'next', nr: 0 };
      await kit.settle(kit.graph.insert(wire, { name: 'keeper', type: 'test-keeper' }));
      await kit.answerOf({ op: 'zero', posBytes: 0, lenBytes: 100_000 });
      await kit.settle(kit.graph.release('probe'));
      await kit.settle(kit.graph.release('brick'));
      (kit.graph.get('keeper') as Keeper).letGo();
    });
  });

  it('trims only in mode "trim" and with permission', async () => {
    const kit = new BrickKit(ZeroBrick, { mode: 'trim' }, { disk: { zero: 0 } });
    await kit.open();
    await kit.answerOf({ op: 'zero', posBytes: 0, lenBytes: 500_000, flags: F_MAY_TRIM | F_FAST });
    await kit.answerOf({ op: 'zero', posBytes: 0, lenBytes: 512 });
    assert.deepEqual(opsSeen(kit), ['trim 0+500000', 'write 0+512']);
    await kit.close();
  });

  it('leaves ZERO to a provider that has it, and hides it in mode "none"', async () => {
    for (const [mode, expected] of [
      ['emulate', ['zero 0+512']],
      ['none', []],
    ] as const) {
      const kit = new BrickKit(ZeroBrick, { mode });
      await kit.open();
      assert.equal(
        (await kit.answerOf({ op: 'zero', posBytes: 0, lenBytes: 512 })).err,
        mode === 'none' ? -EOPNOTSUPP : 0,
      );
      assert.deepEqual(opsSeen(kit), expected);
      await kit.close();
    }
  });
});

describe('FuaBrick', () => {
  describe('over a provider that can only flush', () => {
    const kit = useBrickKit(FuaBrick, {}, { disk: { fua: 0 } });
    describeBrickConformance(kit);

    it('answers a write with FUA after the flush behind it', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: 'safe', flags: F_FUA });
      assert.deepEqual(opsSeen(kit), ['write 0+4', 'flush 0+0']);
      assert.deepEqual(kit.disk.durable.slice(0, 4), new TextEncoder().encode('safe'));
    });

    it('lets writes that come back together share one flush', () => {
      let answered = 0;
      kit.disk.hold = true;
      for (let i = 0; i < 10; i++) kit.write({ posBytes: i * 512, data: bytes(512), flags: F_FUA }, () => answered++);
      kit.disk.letGo();
      kit.run();
      assert.equal(answered, 10);
      assert.equal(kit.disk.seen.filter((s) => s.op === 'flush').length, 1);
      assert.deepEqual(kit.disk.durable, kit.disk.store);
    });

    it('hands the error of a shared flush to every write that it covers', () => {
      const errors: number[] = [];
      kit.disk.hold = true;
      for (let i = 0; i < 3; i++)
        kit.write({ posBytes: i * 512, data: bytes(512), flags: F_FUA }, (a) => errors.push(a.err));
      kit.disk.failAt = 4;
      kit.disk.letGo();
      kit.run();
      assert.deepEqual(errors, [-EIO, -EIO, -EIO]);
    });

    it('does not cover a write that came back while a flush was under way', () => {
      kit.disk.hold = true;
      kit.write({ posBytes: 0, data: bytes(512), flags: F_FUA });
      kit.disk.letGo();
      kit.disk.hold = true;
      kit.run();
      kit.write({ posBytes: 512, data: bytes(512), flags: F_FUA });
      kit.disk.letGo('backward');
      kit.run();
      assert.deepEqual(opsSeen(kit), ['write 0+512', 'flush 0+0', 'write 512+512', 'flush 0+0']);
    });

    it('does not block a change of the wire below it', async () => {
      let answered = 0;
      kit.disk.hold = true;
      for (let i = 0; i < 3; i++) kit.write({ posBytes: i * 512, data: bytes(512), flags: F_FUA }, () => answered++);
      const inserting = kit.graph.insert({ consumer: 'brick', input: 'next', nr: 0 }, { name: 'twin', type: 'fua' });
      kit.disk.letGo();
      await kit.settle(inserting);
      kit.run();
      assert.equal(answered, 3);
    });
  });

  it('passes FUA down where the provider has it', async () => {
    const kit = new BrickKit(FuaBrick);
    await kit.open();
    await kit.answerOf({ op: 'write', posBytes: 0, data: bytes(512), flags: F_FUA });
    assert.deepEqual(opsSeen(kit), ['write 0+512 fua']);
    await kit.close();
  });

  it('makes every change durable in mode "force", and offers nothing in mode "none"', async () => {
    const forced = new BrickKit(FuaBrick, { mode: 'force' });
    await forced.open();
    await forced.answerOf({ op: 'write', posBytes: 0, data: bytes(512) });
    await forced.answerOf({ op: 'read', posBytes: 0, lenBytes: 512 });
    assert.deepEqual(opsSeen(forced), ['write 0+512 fua', 'read 0+512']);
    await forced.close();
    const none = new BrickKit(FuaBrick, { mode: 'none' });
    await none.open();
    assert.equal((await none.answerOf({ op: 'write', posBytes: 0, data: bytes(512), flags: F_FUA })).err, -EOPNOTSUPP);
    await none.close();
  });
});

describe('TransformBrick over a brick that retains', () => {
  const kit = useBrickKit(Invert, {}, { bricks: [Keeper] });

  it('does not take its block back while somebody below still looks at it', async () => {
    await kit.settle(
      kit.graph.insert({ consumer: 'brick', input: 'next', nr: 0 }, { name: 'keeper', type: 'test-keeper' }),
    );
    for (let i = 0; i < 20; i++) await kit.answerOf({ op: 'write', posBytes: i * 4096, data: bytes(4096, i) });
    (kit.graph.get('keeper') as Keeper).letGo();
    const { data } = await kit.answerOf({ op: 'read', posBytes: 4096, lenBytes: 4096 });
    assert.deepEqual(data, bytes(4096, 1));
  });
});
