import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Clock } from '@mars/brick-core';
import { LamportClock } from './lamport-clock.js';
import { readStamp } from './stamp.js';

const S = 1_000_000_000n;
const DAY = 86_400n * S;
const START = 1_795_191_000n * S;

/** A system clock that a test sets. */
function wall(startNs = START): Clock & { ns: bigint } {
  const clock = { ns: startNs, nowUs: 0, wallNs: () => clock.ns, after: () => {}, sleep: async () => {} };
  return clock;
}

describe('LamportClock', () => {
  it('gives stamps that grow, at the same moment too, and are never behind real time', () => {
    const real = wall();
    const clock = new LamportClock(real);
    assert.equal(clock.now(), START);
    assert.equal(clock.now(), START + 1n);
    real.ns += S;
    assert.equal(clock.peek(), START + S);
    assert.equal(clock.now(), START + S);
  });

  it('is ahead of everything it has seen, and creeps until real time has caught up', () => {
    const real = wall();
    const clock = new LamportClock(real);
    clock.advance(START + 3600n * S);
    assert.equal(clock.now(), START + 3600n * S + 1n);
    assert.equal(clock.aheadSeconds, 3600.000000001);
    real.ns += 3599n * S;
    assert.equal(clock.now(), START + 3600n * S + 2n);
    real.ns += 2n * S;
    assert.equal(clock.now(), START + 3601n * S);
    assert.equal(clock.aheadSeconds, 0);
  });

  it('moves by 1 ns when a strict advance sees something old, and not at all when a lazy one does', () => {
    const clock = new LamportClock(wall());
    clock.now();
    clock.advanceLazy(5n);
    assert.equal(clock.peek(), START);
    clock.advance(5n);
    assert.equal(clock.peek(), START + 1n);
    clock.advance(START + 1n);
    assert.equal(clock.advanceAndGet(START + 10n), START + 10n);
  });

  it('is not dragged by a stamp 30 days ahead, but follows one a second nearer', () => {
    const clock = new LamportClock(wall());
    clock.now();
    assert.ok(clock.isFarFuture(START + 30n * DAY));
    clock.advance(START + 31n * DAY);
    assert.equal(clock.peek(), START + 3n, 'two for the clamp, one for the strict advance');
    clock.advanceLazy(START + 400n * DAY);
    assert.equal(clock.peek(), START + 5n);
    const near = START + 30n * DAY - S;
    assert.ok(!clock.isFarFuture(near));
    clock.advance(near);
    assert.equal(clock.peek(), near);
  });

  it('never goes back when the system clock does, not even by years', () => {
    const real = wall();
    const clock = new LamportClock(real);
    const before = clock.now();
    real.ns = 0n;
    assert.equal(clock.now(), before + 1n);
    assert.ok(!clock.isFarFuture(before), 'what it gave out itself is not corrupt');
    clock.advance(before + 1n);
    assert.equal(clock.now(), before + 3n);
    assert.ok(clock.isFarFuture(before + DAY), 'the limit is raised only as far as the clock itself is ahead');
  });

  it('takes over the newest stamp of a tree when its owner says that the system clock is wrong', () => {
    const clock = new LamportClock(wall(0n));
    assert.ok(clock.isFarFuture(START));
    clock.adopt(START);
    assert.ok(!clock.isFarFuture(START));
    assert.equal(clock.now(), START + 1n);
    clock.adopt(5n);
    assert.equal(clock.peek(), START + 1n);
  });

  it('takes another limit at once', () => {
    const clock = new LamportClock(wall());
    clock.maxFutureSeconds = 10;
    assert.equal(clock.maxFutureSeconds, 10);
    assert.ok(clock.isFarFuture(START + 10n * S) && !clock.isFarFuture(START + 9n * S));
  });

  it('writes its control file as marsadm parses it', () => {
    const clock = new LamportClock(wall(1_795_191_001_250_000_000n));
    clock.now();
    clock.advance(1_795_191_002_000_000_007n);
    assert.equal(clock.controlText(), 'CURRENT_TIME=1795191001.250000000\nlamport_now=1795191002.000000007\nCALLS=1\n');
    assert.equal(readStamp(/lamport_now=(.*)/.exec(clock.controlText())![1]!), clock.peek());
  });

  it('keeps its promises whatever is done to it', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('now' as const), ns: fc.constant(0n) }),
      fc.record({
        kind: fc.constantFrom('advance' as const, 'lazy' as const, 'jump' as const),
        ns: fc.bigInt(0n, START * 2n),
      }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const real = wall();
        const clock = new LamportClock(real);
        let last = 0n;
        for (const { kind, ns } of steps) {
          const wasFar = clock.isFarFuture(ns);
          const before = clock.peek();
          if (kind === 'advance') clock.advance(ns);
          if (kind === 'lazy') clock.advanceLazy(ns);
          if (kind === 'jump') real.ns = ns;
          else if (kind !== 'now') assert.ok(wasFar ? clock.peek() <= before + 3n : clock.peek() >= ns);
          const stamp = clock.now();
          assert.ok(stamp > last && stamp >= real.ns);
          last = stamp;
        }
      }),
    );
  });
});
