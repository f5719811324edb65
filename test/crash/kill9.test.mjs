// The short form of kill9.mjs, and a test of that test.
import assert from 'node:assert/strict';
import { KilledStack } from './kill9.kit.mjs';

const ROUNDS = 8;

describe('A stack with a log that is killed with -9 under load', function () {
  this.timeout(300_000);

  it(`has everything that was answered when it is there again, ${ROUNDS} times`, async () => {
    const stack = new KilledStack(1);
    try {
      for (let round = 0; round < ROUNDS; round++) await stack.round();
      await stack.end();
    } finally {
      await stack.cleanUp();
    }
    assert.equal(stack.summary.kills, ROUNDS);
    assert.ok(stack.summary.answered > 1000, JSON.stringify(stack.summary));
    assert.ok(stack.summary.judged > 1000, JSON.stringify(stack.summary));
  });

  it('is noticed when the end of its log gets lost', async () => {
    const stack = new KilledStack(2);
    try {
      await assert.rejects(stack.loseEndOfLog(200_000), /was answered before the server died|LOGS_NOT_USABLE/);
    } finally {
      await stack.cleanUp();
    }
  });
});
