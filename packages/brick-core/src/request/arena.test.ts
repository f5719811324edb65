import assert from 'node:assert/strict';
import fc from 'fast-check';
import { InvariantError } from '../invariant.js';
import { HEAD_ROOM_BYTES, MAX_ARENA_BYTES, MAX_REQUEST_BYTES } from '../limits.js';
import { ARENA_PAGE, Arena, DebugArena } from './arena.js';

const debugArena = (pages: number): DebugArena => new DebugArena(new ArrayBuffer(pages * ARENA_PAGE));

describe('Arena', () => {
  it('hands out page-aligned blocks that never overlap, and gets all of them back in one piece', () => {
    const step = fc.oneof(
      fc.record({ bytes: fc.integer({ min: 1, max: 200_000 }) }),
      fc.record({ release: fc.nat(1000) }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 700 }), fc.array(step, { maxLength: 200 }), (pages, steps) => {
        const arena = debugArena(pages);
        const whole = arena.availableBytes;
        const out: { offset: number; bytes: number; mark: number }[] = [];
        const giveBack = (i: number): void => {
          const [{ offset, bytes, mark }] = out.splice(i, 1) as [(typeof out)[0]];
          const block = arena.u8.subarray(offset - HEAD_ROOM_BYTES, offset + bytes);
          assert.ok(
            block.every((b) => b === mark),
            'another block reached into this one',
          );
          arena.release(offset);
        };
        for (const step of steps) {
          if ('release' in step) {
            if (out.length > 0) giveBack(step.release % out.length);
            continue;
          }
          const offset = arena.alloc(step.bytes);
          if (offset < 0) continue;
          assert.equal(offset % ARENA_PAGE, 0);
          assert.ok(arena.capacity(offset) >= step.bytes);
          const mark = out.length & 0xff;
          arena.fill(offset - HEAD_ROOM_BYTES, step.bytes + HEAD_ROOM_BYTES, mark);
          out.push({ offset, bytes: step.bytes, mark });
        }
        while (out.length > 0) giveBack(0);
        assert.equal(arena.availableBytes, whole);
        assert.equal(arena.usedBytes, 0);
      }),
      { numRuns: 200, seed: 1 },
    );
  });

  it('merges neighbours again, so that after any use the largest block fits once more', () => {
    const arena = new Arena(new ArrayBuffer(512 * ARENA_PAGE));
    const small: number[] = [];
    for (let offset = arena.alloc(1); offset >= 0; offset = arena.alloc(1)) small.push(offset);
    assert.equal(small.length, 256);
    for (const offset of small.filter((_, i) => i % 2 === 0)) arena.release(offset);
    assert.equal(arena.alloc(MAX_REQUEST_BYTES), -1);
    for (const offset of small.filter((_, i) => i % 2 === 1)) arena.release(offset);
    assert.ok(arena.alloc(MAX_REQUEST_BYTES) >= 0);
  });

  it('says -1, not an error, when there is nothing left', () => {
    const arena = new Arena(new ArrayBuffer(2 * ARENA_PAGE));
    assert.equal(arena.alloc(ARENA_PAGE), ARENA_PAGE);
    assert.equal(arena.alloc(1), -1);
  });

  it('finds blocks that are released twice, and offsets that it never gave', () => {
    const arena = new Arena(new ArrayBuffer(16 * ARENA_PAGE));
    const offset = arena.alloc(1);
    arena.release(offset);
    for (const wrong of [offset, offset + 1, 0, -ARENA_PAGE, 2 ** 30])
      assert.throws(() => arena.release(wrong), InvariantError);
    assert.throws(() => arena.alloc(2 * 1024 * 1024), InvariantError);
  });

  it('refuses sizes that cannot be', () => {
    assert.throws(() => new Arena(new ArrayBuffer(ARENA_PAGE)), { code: 'BAD_ARENA' });
    assert.throws(() => new Arena({ byteLength: MAX_ARENA_BYTES + 1 } as ArrayBuffer), { code: 'BAD_ARENA' });
  });
});

describe('DebugArena', () => {
  it('fills a fresh block with garbage, header room included', () => {
    const arena = debugArena(8);
    const offset = arena.alloc(10);
    assert.equal(arena.u8[offset], 0xa5);
    assert.equal(arena.u8[offset - HEAD_ROOM_BYTES], 0xa5);
  });

  it('finds a write after the release when the page is used again', () => {
    const arena = debugArena(2);
    const offset = arena.alloc(10);
    arena.release(offset);
    arena.u8[offset + 5] = 1;
    assert.throws(() => arena.alloc(10), /was written after its release/);
  });

  it('lists what is still out, with a generation that tells two uses of one block apart', () => {
    const arena = debugArena(2);
    const first = arena.alloc(10);
    assert.equal(arena.generationOf(first), 1);
    arena.release(first);
    assert.equal(arena.generationOf(first), 0);
    const second = arena.alloc(20);
    assert.deepEqual(arena.leaks(), [{ offset: second, bytes: 20, generation: 2 }]);
    arena.release(second);
    assert.throws(() => arena.release(second), /released twice/);
    assert.deepEqual(arena.leaks(), []);
  });
});
