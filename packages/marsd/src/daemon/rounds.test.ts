import assert from 'node:assert/strict';
import { Arena, Loop, silentLogger } from '@mars/brick-core';
import { VirtualDriver } from '@mars/brick-core/testing';
import { Rounds } from './rounds.js';

describe('Rounds', () => {
  let driver: VirtualDriver;
  let rounds: Rounds;
  let ran: string[];

  beforeEach(() => {
    driver = new VirtualDriver();
    const loop = new Loop(driver, new Arena(new ArrayBuffer(65_536)), 1);
    rounds = new Rounds(loop, silentLogger, () => 5000);
    ran = [];
    rounds.add({ name: 'one', run: () => void ran.push('one') });
  });
  afterEach(async () => {
    const stopped = rounds.stop();
    await pass(10_000);
    await stopped;
  });

  /** Virtual time, in steps, with a turn for promises after each. */
  async function pass(ms: number): Promise<void> {
    for (let i = 0; i < ms; i += 10) {
      driver.advanceMs(10);
      for (let turns = 0; turns < 4; turns++) await Promise.resolve();
    }
  }

  it('come every five seconds when nobody asks', async () => {
    rounds.start();
    await pass(1000);
    assert.equal(ran.length, 1);
    await pass(14_500);
    assert.equal(ran.length, 4);
  });

  it('come soon when somebody asks, one for all who ask meanwhile, and not more than ten a second', async () => {
    rounds.start();
    await pass(1000);
    for (let i = 0; i < 100; i++) rounds.request();
    await pass(50);
    assert.equal(ran.length, 2);
    for (let i = 0; i < 100; i++) {
      rounds.request();
      await pass(10);
    }
    assert.ok(ran.length <= 13 && ran.length >= 11, String(ran.length));
  });

  it('miss no request that comes while one is under way', async () => {
    let release = (): void => {};
    rounds.add({ name: 'slow', run: () => new Promise((resolve) => (release = resolve)) });
    rounds.start();
    await pass(10);
    let isDone = false;
    void rounds.next().then(() => (isDone = true));
    release();
    await pass(200);
    assert.equal(isDone, false, 'the round under way began before the request');
    release();
    await pass(200);
    assert.equal(isDone, true);
    assert.equal(ran.length, 2);
    release();
  });

  it('go on after a step that failed, and try it again', async () => {
    let fails = 0;
    rounds.add({
      name: 'bad',
      run: () => {
        fails++;
        throw new Error('no');
      },
    });
    rounds.add({ name: 'last', run: () => void ran.push('last') });
    rounds.start();
    await pass(5500);
    assert.deepEqual([fails, ran], [2, ['one', 'last', 'one', 'last']]);
  });

  it('end with stop, whoever still waits', async () => {
    rounds.start();
    const waits = rounds.next();
    const stopped = rounds.stop();
    await pass(200);
    await Promise.all([waits, stopped]);
    const before = ran.length;
    await pass(20_000);
    assert.equal(ran.length, before);
  });
});
