import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { EINVAL, EIO } from '../errno.js';
import { DIGEST_BYTES, F_DIGEST_SHA256, F_DIGEST_XXH3, spanFlags } from '../request/ops.js';
import { describeBrickConformance, useBrickKit, type BrickKit } from '../testing/index.js';
import { DigestBrick } from './index.js';

const KiB = 1024;
const sha = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest().subarray(0, DIGEST_BYTES).toString('hex');

function fill(kit: BrickKit): void {
  for (let i = 0; i < kit.disk.store.length; i++) kit.disk.store[i] = Math.imul(i, 2654435761) >>> 13;
}

async function digestsOf(kit: BrickKit, posBytes: number, lenBytes: number, log2: number): Promise<string[]> {
  const flags = F_DIGEST_SHA256 | spanFlags(log2);
  const { err, data } = await kit.answerOf({ op: 'digests', posBytes, lenBytes, flags });
  assert.equal(err, 0);
  return Array.from({ length: data.length / DIGEST_BYTES }, (_, i) =>
    Buffer.from(data.subarray(i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES)).toString('hex'),
  );
}

describe('DigestBrick', () => {
  const kit = useBrickKit(DigestBrick, {}, { disk: { size: '1M' } });
  describeBrickConformance(kit);

  it('answers one digest for each span, in order, over several pieces', async () => {
    fill(kit);
    const { store } = kit.disk;
    for (const [pos, len, log2] of [
      [0, 1024 * KiB, 16],
      [64 * KiB, 512 * KiB, 12],
      [4096, 4096, 9],
      [0, 1024 * KiB, 20],
    ] as const) {
      const span = 2 ** log2;
      const want = Array.from({ length: len / span }, (_, i) =>
        sha(store.subarray(pos + i * span, pos + (i + 1) * span)),
      );
      assert.deepEqual(await digestsOf(kit, pos, len, log2), want);
    }
  });

  it('digests a last span that is shorter than the others', async () => {
    fill(kit);
    const got = await digestsOf(kit, 0, 100 * KiB, 16);
    assert.deepEqual(got, [
      sha(kit.disk.store.subarray(0, 64 * KiB)),
      sha(kit.disk.store.subarray(64 * KiB, 100 * KiB)),
    ]);
  });

  it('refuses more digests than an answer holds, spans of impossible size, and algorithms that it does not have', async () => {
    const ask = async (lenBytes: number, flags: number): Promise<number> =>
      (await kit.answerOf({ op: 'digests', posBytes: 0, lenBytes, flags })).err;
    assert.equal(await ask(512 * KiB, F_DIGEST_SHA256 | spanFlags(9)), -EINVAL);
    assert.equal(await ask(4096, F_DIGEST_SHA256 | spanFlags(8)), -EINVAL);
    assert.equal(await ask(4096, F_DIGEST_SHA256 | spanFlags(21)), -EINVAL);
    assert.equal(await ask(4096, spanFlags(12)), -EINVAL);
    assert.equal(await ask(4096, F_DIGEST_XXH3 | spanFlags(12)), -EINVAL);
    assert.equal(await ask(4096, F_DIGEST_XXH3 | F_DIGEST_SHA256 | spanFlags(12)), -EINVAL);
    assert.equal(kit.disk.seen.length, 0);
  });

  it('answers the error of a read, and nothing of the range', async () => {
    kit.disk.failAt = 2;
    kit.disk.failWith = -EIO;
    const answer = await kit.answerOf({
      op: 'digests',
      posBytes: 0,
      lenBytes: 1024 * KiB,
      flags: F_DIGEST_SHA256 | spanFlags(16),
    });
    assert.equal(answer.err, -EIO);
  });

  it('works on many requests at once, and on more than it has room for', () => {
    fill(kit);
    let answers = 0;
    for (let i = 0; i < 40; i++) {
      const flags = F_DIGEST_SHA256 | spanFlags(12);
      kit.request({ op: 'digests', posBytes: i * 4096, lenBytes: 256 * KiB, flags }, ({ data }) => {
        assert.equal(
          Buffer.from(data.subarray(0, DIGEST_BYTES)).toString('hex'),
          sha(kit.disk.store.subarray(i * 4096, (i + 1) * 4096)),
        );
        answers++;
      });
    }
    kit.clock.advanceMs(50);
    assert.equal(answers, 40);
  });
});
