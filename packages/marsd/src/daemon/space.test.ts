import assert from 'node:assert/strict';
import fc from 'fast-check';
import { judgeSpace, nextLevel, type SpaceLimit } from './space.js';

const GIB = 2 ** 30;
const limits = (gib = 2, isWritten = false) =>
  Array.from({ length: 4 }, () => ({ gib, isWritten })) as [SpaceLimit, SpaceLimit, SpaceLimit, SpaceLimit];

describe('space of /mars', () => {
  it('cumulates the limits from the fourth to the first', () => {
    const at = (freeGib: number) =>
      judgeSpace({ totalBytes: 100 * GIB, availableBytes: freeGib * GIB, limits: limits() });
    assert.deepEqual(
      [9, 8, 7.9, 6, 5.9, 4, 3.9, 2, 1.9, 0].map((gib) => at(gib).level),
      [0, 0, 1, 1, 2, 2, 3, 3, 4, 4],
    );
    assert.deepEqual([at(9).restBytes, at(3).restBytes, at(9).totalBytes], [GIB, 0, 92 * GIB]);
  });

  it('counts each limit as a sixteenth of a small file system, unless somebody has written it', () => {
    const small = { totalBytes: 2 * GIB, availableBytes: 2 * GIB };
    assert.equal(judgeSpace({ ...small, limits: limits() }).level, 0);
    assert.equal(judgeSpace({ ...small, limits: limits() }).requiredBytes, GIB / 2);
    assert.equal(judgeSpace({ ...small, limits: limits(2, true) }).level, 3);
    const written = judgeSpace({ ...small, limits: [{ gib: 0, isWritten: true }, ...limits().slice(1)] as never });
    assert.equal(written.requiredBytes, (3 * GIB) / 8);
  });

  it('has a level that never falls when space shrinks', () => {
    const space = fc.nat(40 * 1024);
    fc.assert(
      fc.property(space, space, fc.nat(64), (a, b, totalGib) => {
        const level = (mib: number) =>
          judgeSpace({ totalBytes: totalGib * GIB, availableBytes: mib * 2 ** 20, limits: limits() }).level;
        assert.ok(level(Math.min(a, b)) >= level(Math.max(a, b)));
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  it('rises at once and falls by one per round, if it may', () => {
    assert.equal(nextLevel(0, 4, true), 4);
    const down: number[] = [];
    for (let level = 4, i = 0; i < 5; i++) down.push((level = nextLevel(level, 0, true)));
    assert.deepEqual(down, [3, 2, 1, 0, 0]);
    assert.equal(nextLevel(3, 0, false), 3);
  });
});
