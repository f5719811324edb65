import assert from 'node:assert/strict';
import {
  Brick,
  BrickBase,
  CAP_FLUSH,
  CAP_GROW,
  CAP_WRITE,
  EIO,
  EMEDIUMTYPE,
  ErrorCode,
  OP_READ,
  OP_WRITE,
  type XioInfo,
  type XioObject,
  type XioOutput,
} from '@mars/brick-core';
import { BrickKit, describeBrickConformance, useBrickKit, type MemoryDisk } from '@mars/brick-core/testing';
import fc from 'fast-check';
import { CopyBrick } from './copy.js';

const KiB = 1024;
const MiB = 1024 * KiB;

type Kit = BrickKit<CopyBrick>;
const sourceOf = (kit: Kit): MemoryDisk => kit.diskNr(1);
const targetOf = (kit: Kit): MemoryDisk => kit.diskNr(2);
const fact = (kit: Kit, name: string): unknown => kit.brick.stats.snapshot().facts[name];

function scribble(store: Uint8Array, seed: number): void {
  for (let i = 0; i < store.length; i++) store[i] = (Math.imul(i + seed, 2654435761) >>> 11) & 0xff;
}

const equal = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0;

/** Opens with the disks filled before the copy goes on. */
async function openWith(kit: Kit, prepare: () => void): Promise<void> {
  await kit.open({ press: false });
  for (const name of ['disk', 'disk2']) await kit.settle(kit.graph.press(name));
  prepare();
  await kit.settle(kit.graph.press('brick'));
}

async function inKit(
  params: Record<string, unknown>,
  prepare: (kit: Kit) => void,
  test: (kit: Kit) => Promise<void> | void,
): Promise<void> {
  const kit = new BrickKit(
    CopyBrick,
    { digest: 'sha256', ...params },
    { disk: { size: '5M' }, arenaBytes: 64 * MiB, poolObjects: 1024 },
  );
  await openWith(kit, () => prepare(kit));
  await test(kit);
  await kit.close();
}

function differInSomeBlocks(kit: Kit): void {
  scribble(sourceOf(kit).store, 1);
  targetOf(kit).store.set(sourceOf(kit).store);
  for (const at of [0, 5000, 70_000, 1_500_000, 1_500_001, 3 * MiB + 12_288, 5 * MiB - 1])
    targetOf(kit).store[at]! ^= 1;
}

describe('CopyBrick', () => {
  const kit = useBrickKit(CopyBrick, { digest: 'sha256' });
  describeBrickConformance(kit);

  it('makes the target equal and writes no block that was equal already', async () => {
    await inKit({}, differInSomeBlocks, (kit) => {
      kit.clock.advanceMs(3000);
      assert.ok(equal(sourceOf(kit).store, targetOf(kit).store));
      assert.equal(fact(kit, 'phase'), 'finished');
      assert.equal(fact(kit, 'copied'), 5 * MiB);
      assert.equal(fact(kit, 'verify'), `${1280 - 6},6`);
      const writes = targetOf(kit).seen.filter((s) => s.op === 'write');
      assert.deepEqual(
        writes.map((s) => [s.posBytes, s.lenBytes]),
        [
          [0, 8192],
          [69_632, 4096],
          [1_499_136, 4096],
          [3 * MiB + 12_288, 4096],
          [5 * MiB - 4096, 4096],
        ],
      );
    });
  });

  it('believes nobody about holes unless it is told to', async () => {
    for (const trustHoles of [false, true]) {
      await inKit({ trustHoles }, differInSomeBlocks, (kit) => {
        kit.clock.advanceMs(3000);
        assert.equal(
          [...sourceOf(kit).seen, ...targetOf(kit).seen].some((s) => s.op === 'extents'),
          trustHoles,
        );
      });
    }
  });

  it('publishes only what was flushed on the target', async () => {
    await inKit({}, differInSomeBlocks, (kit) => {
      kit.clock.advanceMs(3000);
      assert.ok(equal(sourceOf(kit).store, targetOf(kit).durable));
    });
  });

  it('counts what differs and changes nothing when it verifies', async () => {
    await inKit({ mode: 'verify' }, differInSomeBlocks, (kit) => {
      const before = targetOf(kit).store.slice();
      kit.clock.advanceMs(3000);
      assert.equal(fact(kit, 'verify'), `${1280 - 6},6`);
      assert.equal(fact(kit, 'finished'), true);
      assert.ok(equal(targetOf(kit).store, before));
      assert.ok(targetOf(kit).seen.every((s) => s.op !== 'write' && s.op !== 'flush'));
    });
  });

  it('copies everything without comparing when told so, and zeroes instead of writing zeroes', async () => {
    const prepare = (kit: Kit): void => {
      scribble(sourceOf(kit).store, 3);
      sourceOf(kit).store.fill(0, 2 * MiB, 3 * MiB);
      targetOf(kit).store.fill(9);
    };
    await inKit({ full: true }, prepare, (kit) => {
      kit.clock.advanceMs(3000);
      assert.ok(equal(sourceOf(kit).store, targetOf(kit).store));
      assert.ok(targetOf(kit).seen.some((s) => s.op === 'zero'));
      assert.ok([...sourceOf(kit).seen, ...targetOf(kit).seen].every((s) => s.op !== 'digests'));
    });
  });

  it('starts and stops at any position, aligned or not', async () => {
    await inKit(
      { start: 4097, end: 3 * MiB + 77 },
      (kit) => scribble(sourceOf(kit).store, 5),
      (kit) => {
        kit.clock.advanceMs(3000);
        const want = new Uint8Array(5 * MiB);
        want.set(sourceOf(kit).store.subarray(4097, 3 * MiB + 77), 4097);
        assert.ok(equal(targetOf(kit).store, want));
        assert.equal(fact(kit, 'copied'), 3 * MiB + 77);
      },
    );
  });

  it('goes on from the finished part after an error, and ends with the right contents', async () => {
    for (let nr = 1; nr < 60; nr += 3) {
      for (const side of [sourceOf, targetOf]) {
        const prepare = (kit: Kit): void => {
          differInSomeBlocks(kit);
          side(kit).failAt = nr;
          side(kit).failWith = -EIO;
        };
        await inKit({ window: '2M' }, prepare, (kit) => {
          kit.clock.advanceMs(20_000);
          assert.equal(fact(kit, 'phase'), 'finished', `request ${nr} failed`);
          assert.ok(equal(sourceOf(kit).store, targetOf(kit).durable), `request ${nr} failed`);
        });
      }
    }
  });

  it('gives everything up when the source says that its data must not be used', async () => {
    const prepare = (kit: Kit): void => {
      differInSomeBlocks(kit);
      sourceOf(kit).failAt = 12;
      sourceOf(kit).failWith = -EMEDIUMTYPE;
    };
    await inKit({ start: 4096 }, prepare, (kit) => {
      kit.clock.advanceMs(20_000);
      assert.equal(fact(kit, 'phase'), 'invalid');
      assert.equal(fact(kit, 'copied'), 0);
      assert.match(String(fact(kit, 'error')), /^EMEDIUMTYPE while /);
    });
  });

  it('says that it is stalled when nothing comes back, and goes on when something does', async () => {
    const prepare = (kit: Kit): void => {
      differInSomeBlocks(kit);
      sourceOf(kit).hold = true;
    };
    await inKit({ stallAfter: '10s' }, prepare, (kit) => {
      kit.clock.advanceMs(15_000);
      assert.equal(fact(kit, 'phase'), 'stalled');
      sourceOf(kit).letGo();
      kit.clock.advanceMs(3000);
      assert.equal(fact(kit, 'phase'), 'finished');
    });
  });

  it('works with a pool so small that it has to wait for every object', async () => {
    const small = new BrickKit(
      CopyBrick,
      { digest: 'sha256', full: true },
      { disk: { size: '3M' }, arenaBytes: 2 * MiB, poolObjects: 5 },
    );
    await openWith(small, () => scribble(sourceOf(small).store, 8));
    small.clock.advanceMs(10_000);
    assert.ok(equal(sourceOf(small).store, targetOf(small).store));
    await small.close();
  });

  it('refuses an end beyond one of the disks', async () => {
    const kit = new BrickKit(CopyBrick, { digest: 'sha256', end: '6M' }, { disk: { size: '5M' } });
    await assert.rejects(kit.open(), (error: { code: string; message: string }) => {
      assert.equal(error.code, ErrorCode.START_FAILED);
      assert.match(error.message, /has 5242880 bytes, but "end" is 6291456/);
      return true;
    });
    await kit.close();
  });

  it('can be switched off and on again at any moment, with answers that overtake each other', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer(),
        fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 8 }),
        fc.array(fc.tuple(fc.integer({ min: 0, max: 5 * MiB - 1 }), fc.integer({ min: 1, max: 300 * KiB })), {
          maxLength: 12,
        }),
        fc.constantFrom('sync', 'sync full'),
        async (seed, pauses, patches, mode) => {
          const prepare = (kit: Kit): void => {
            scribble(sourceOf(kit).store, seed);
            targetOf(kit).store.set(sourceOf(kit).store);
            for (const [at, len] of patches) targetOf(kit).store.fill(seed, at, at + len);
            sourceOf(kit).shuffleAnswers(seed, 20);
            targetOf(kit).shuffleAnswers(seed + 1, 20);
          };
          await inKit({ full: mode === 'sync full', window: '3M', reportInterval: '10ms' }, prepare, async (kit) => {
            for (const pauseMs of pauses) {
              kit.clock.advanceMs(pauseMs);
              await kit.settle(kit.graph.release('brick'));
              const copied = fact(kit, 'copied') as number;
              assert.ok(equal(targetOf(kit).durable.subarray(0, copied), sourceOf(kit).store.subarray(0, copied)));
              await kit.settle(kit.graph.press('brick'));
            }
            kit.clock.advanceMs(5000);
            assert.equal(fact(kit, 'phase'), 'finished');
            assert.ok(equal(sourceOf(kit).store, targetOf(kit).durable));
          });
        },
      ),
      { numRuns: 25 },
    );
  });

  describe('that fetches', () => {
    const openFetch = async (
      params: Record<string, unknown>,
      sourceBytes: number,
      prepare: (kit: Kit) => void,
    ): Promise<Kit> => {
      const kit = new BrickKit(
        CopyBrick,
        { digest: 'sha256', mode: 'fetch', reportInterval: '50ms', ...params },
        { disk: { size: '4M' }, arenaBytes: 64 * MiB, poolObjects: 1024, bricks: [LogFile] },
      );
      await kit.open({ press: false });
      for (const [name, input] of [
        ['log', 'a'],
        ['copy', 'b'],
      ] as const) {
        kit.graph.add(name, 'test-log-file');
        await kit.settle(kit.graph.swap({ consumer: 'brick', input, nr: 0 }, name));
        await kit.settle(kit.graph.press(name));
      }
      scribble(logOf(kit).grow(sourceBytes), 1);
      prepare(kit);
      await kit.settle(kit.graph.press('brick'));
      return kit;
    };
    const logOf = (kit: Kit): LogFile => kit.graph.get('log') as LogFile;
    const copyOf = (kit: Kit): LogFile => kit.graph.get('copy') as LogFile;

    it('appends what the source has more, follows it as it grows, and is a prefix of it at any moment', async () => {
      const kit = await openFetch({}, 3 * MiB + 333, () => {});
      for (const more of [1, 100_000, 2 * MiB, 0, 7]) {
        for (let ms = 0; ms < 200; ms += 10) {
          kit.clock.advanceMs(10);
          const { bytes } = copyOf(kit);
          assert.ok(equal(bytes, logOf(kit).bytes.subarray(0, bytes.length)));
        }
        assert.equal(copyOf(kit).bytes.length, logOf(kit).bytes.length);
        assert.equal(fact(kit, 'copied'), logOf(kit).bytes.length);
        assert.equal(fact(kit, 'phase'), 'waiting');
        logOf(kit).append(more);
      }
      await kit.close();
    });

    it('repairs the end of its file, which may hold what was never written, and goes on from there', async () => {
      const start = 2 * MiB + 100;
      const kit = await openFetch({ start }, 4 * MiB + 5, (kit) => {
        copyOf(kit)
          .grow(start + 5000)
          .set(logOf(kit).bytes.subarray(0, start + 5000));
        copyOf(kit).bytes.fill(0, start - 70_000, start + 4000);
      });
      kit.clock.advanceMs(500);
      assert.ok(equal(copyOf(kit).bytes, logOf(kit).bytes));
      assert.equal(fact(kit, 'copied'), 4 * MiB + 5);
      const written = copyOf(kit).written;
      assert.ok(written < 2 * MiB + 100_000, `${written} bytes were written`);
      await kit.close();
    });

    it('stops where it was told to, and goes on when it is told a later end', async () => {
      const kit = await openFetch({ end: 100_000 }, MiB, () => {});
      kit.clock.advanceMs(500);
      assert.equal(fact(kit, 'phase'), 'finished');
      assert.equal(copyOf(kit).bytes.length, 100_000);
      kit.graph.setParam('brick', 'end', 200_001);
      kit.clock.advanceMs(500);
      assert.equal(copyOf(kit).bytes.length, 200_001);
      assert.equal(fact(kit, 'copied'), 200_001);
      await kit.close();
    });

    it('ends where a source ends that is shorter than announced', async () => {
      const kit = await openFetch({}, MiB, (kit) => logOf(kit).pretend(2 * MiB));
      kit.clock.advanceMs(500);
      assert.equal(fact(kit, 'copied'), MiB);
      assert.ok(equal(copyOf(kit).bytes, logOf(kit).bytes));
      await kit.close();
    });
  });
});

/** A file that grows: writes may start at its end, reads there are short. */
@Brick({ type: 'test-log-file', ops: ['read', 'write', 'flush'] })
class LogFile extends BrickBase implements XioOutput {
  bytes = new Uint8Array(0);
  written = 0;
  private pretended = 0;

  info(into: XioInfo): number {
    into.size = Math.max(this.bytes.length, this.pretended);
    into.caps = CAP_WRITE | CAP_FLUSH | CAP_GROW;
    return 0;
  }

  io(o: XioObject): void {
    const { u8 } = this.ctx.mem;
    if (o.op === OP_READ) {
      const data = this.bytes.subarray(Math.min(o.pos, this.bytes.length), o.pos + o.len);
      u8.set(data, o.buf);
      o.len = data.length;
    } else if (o.op === OP_WRITE) {
      assert.ok(o.pos <= this.bytes.length, 'a write beyond the end left a hole');
      if (o.pos + o.len > this.bytes.length) this.grow(o.pos + o.len);
      this.bytes.set(u8.subarray(o.buf, o.buf + o.len), o.pos);
      this.written += o.len;
    }
    this.ctx.loop.finish(o, 0);
  }

  grow(sizeBytes: number): Uint8Array {
    const bytes = new Uint8Array(sizeBytes);
    bytes.set(this.bytes);
    this.bytes = bytes;
    this.ctx.infoChanged();
    return bytes;
  }

  append(moreBytes: number): void {
    const from = this.bytes.length;
    const bytes = this.grow(from + moreBytes);
    for (let i = from; i < bytes.length; i++) bytes[i] = (i * 31) & 0xff;
  }

  pretend(sizeBytes: number): void {
    this.pretended = sizeBytes;
    this.ctx.infoChanged();
  }
}
