import assert from 'node:assert/strict';
import { Arena, Loop } from '@mars/brick-core';
import { ImmediateDriver } from './event-loop-driver.js';
import { WallClock } from './time.js';

/** Long enough that a wait which was cut off would have ended long before. */
const PAST_TIMEOUT_MAX_MS = 2 ** 31 + 5000;

function build(): { driver: ImmediateDriver; loop: Loop } {
  const driver = new ImmediateDriver();
  return { driver, loop: new Loop(driver, new Arena(new ArrayBuffer(1 << 16)), 4) };
}

const turns = async (n: number): Promise<void> => {
  for (let i = 0; i < n; i++) await new Promise((resolve) => setImmediate(resolve));
};

describe('ImmediateDriver', () => {
  it('never lets a timer fire early, however short it is', async () => {
    const { driver, loop } = build();
    for (const ms of [0, 0.05, 0.3, 0.999, 1, 1.5, 3.2]) {
      const from = process.hrtime.bigint();
      await loop.sleep(ms);
      const tookMs = Number(process.hrtime.bigint() - from) / 1e6;
      assert.ok(tookMs >= ms, `${ms} ms took ${tookMs}`);
    }
    driver.close();
  });

  it('keeps the order of timers across milliseconds and fractions', async () => {
    const { driver, loop } = build();
    const order: number[] = [];
    // From inside a tick, where time stands still: outside, each call would count from its own now.
    loop.after(0, null, () => {
      for (const ms of [2.5, 0.2, 1.1, 0.1, 1.1]) loop.after(ms, ms, (n) => order.push(n));
    });
    while (order.length < 5) await turns(1);
    assert.deepEqual(order, [0.1, 0.2, 1.1, 1.1, 2.5]);
    driver.close();
  });

  it('does not take a wait of more than 2^31 ms for a short one', async () => {
    const { driver, loop } = build();
    let fired = false;
    loop.after(PAST_TIMEOUT_MAX_MS, null, () => (fired = true));
    await loop.sleep(5);
    assert.equal(fired, false);
    driver.close();
  });

  it('gives one tick for many requests, and lets other events between two ticks', async () => {
    const driver = new ImmediateDriver();
    let ticks = 0;
    driver.bind(() => {
      ticks++;
      if (ticks < 3) driver.arm();
    });
    driver.arm();
    driver.arm();
    let others = 0;
    const other = setInterval(() => others++, 0);
    await turns(1);
    assert.equal(ticks, 1);
    await turns(5);
    assert.equal(ticks, 3);
    clearInterval(other);
    driver.close();
    driver.arm();
    await turns(2);
    assert.equal(ticks, 3, 'no tick after close');
  });

  it('re-arms a timer that is due at the time of the one before', async () => {
    const { driver, loop } = build();
    let left = 100;
    await new Promise<void>((resolve) => {
      const again = (): void => {
        if (left-- === 0) resolve();
        else loop.after(0, null, again);
      };
      again();
    });
    driver.close();
  });
});

describe('WallClock', () => {
  it('fills in nanoseconds, and stays in the millisecond that the system names', () => {
    let ms = 1000;
    let ns = 0n;
    const clock = new WallClock(
      () => ms,
      () => ns,
    );
    assert.equal(clock.nowNs(), 1_000_000_000n);
    ns += 400_000n;
    assert.equal(clock.nowNs(), 1_000_400_000n);
    ns += 900_000n; // our monotonic time runs ahead of the system's millisecond
    assert.equal(clock.nowNs(), 1_000_999_999n);
    ms = 1001;
    assert.equal(clock.nowNs(), 1_001_000_000n);
  });

  it('follows a jump of the wall clock at once, in both directions', () => {
    let ms = 5000;
    const clock = new WallClock(
      () => ms,
      () => 77n,
    );
    clock.nowNs();
    for (ms of [9_000_000, 1000]) assert.equal(clock.nowNs() / 1_000_000n, BigInt(ms));
  });
});
