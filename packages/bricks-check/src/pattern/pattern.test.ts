import assert from 'node:assert/strict';
import { EOPNOTSUPP } from '@mars/brick-core';
import { describeBrickConformance, useBrickKit } from '@mars/brick-core/testing';
import fc from 'fast-check';
import { PatternBrick } from './pattern.js';

/** What the README promises, written down a second time and differently. */
function expectedByte(pos: number, seed: bigint): number {
  const word = (BigInt(pos) & ~7n) ^ seed;
  return Number((word >> (8n * (BigInt(pos) & 7n))) & 0xffn);
}

describe('PatternBrick', () => {
  const sizeBytes = 2 ** 40;
  const seed = 0x12_3456_789a_bcden;
  const kit = useBrickKit(PatternBrick, { size: '1T', seed: Number(seed) });

  describeBrickConformance(kit, { data: 'none' });

  it('holds the position XOR the seed in every eight bytes, little endian, at any alignment', async () => {
    const range = fc.tuple(
      fc.oneof(fc.integer({ min: 0, max: sizeBytes - 9000 }), fc.integer({ min: 2 ** 32 - 5000, max: 2 ** 32 })),
      fc.integer({ min: 1, max: 9000 }),
      fc.boolean(),
    );
    await fc.assert(
      fc.asyncProperty(range, async ([anyPos, anyLen, isAligned]) => {
        const posBytes = isAligned ? anyPos - (anyPos % 8) : anyPos;
        const lenBytes = isAligned ? Math.ceil(anyLen / 8) * 8 : anyLen;
        const { err, data } = await kit.answerOf({ op: 'read', posBytes, lenBytes });
        assert.equal(err, 0);
        const expected = Uint8Array.from({ length: lenBytes }, (_, i) => expectedByte(posBytes + i, seed));
        assert.ok(Buffer.compare(data, expected) === 0, `wrong bytes at ${posBytes}, ${lenBytes} of them`);
      }),
      { numRuns: 100 },
    );
  });

  it('refuses writes', async () => {
    assert.equal((await kit.answerOf({ op: 'write', posBytes: 0, data: 'x' })).err, -EOPNOTSUPP);
  });
});
