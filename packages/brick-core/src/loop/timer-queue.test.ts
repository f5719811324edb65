import assert from 'node:assert/strict';
import fc from 'fast-check';
import { InvariantError } from '../invariant.js';
import { TimerQueue } from './timer-queue.js';

describe('TimerQueue', () => {
  it('runs timers in the order of time, equal times in the order in which they were added', () => {
    const step = fc.oneof(fc.record({ dueUs: fc.nat(50) }), fc.record({ nowUs: fc.nat(60) }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const queue = new TimerQueue();
        let model: { dueUs: number; nr: number }[] = [];
        const ran: number[] = [];
        const note = (nr: number): void => void ran.push(nr);
        let nr = 0;
        for (const step of steps) {
          if ('dueUs' in step) {
            queue.add(step.dueUs, nr, note);
            model.push({ dueUs: step.dueUs, nr: nr++ });
          } else {
            ran.length = 0;
            queue.run(step.nowUs);
            const due = model.filter((t) => t.dueUs <= step.nowUs).sort((a, b) => a.dueUs - b.dueUs || a.nr - b.nr);
            assert.deepEqual(
              ran,
              due.map((t) => t.nr),
            );
            model = model.filter((t) => t.dueUs > step.nowUs);
          }
          assert.equal(queue.length, model.length);
          assert.equal(queue.nextUs, Math.min(Infinity, ...model.map((t) => t.dueUs)));
        }
      }),
      { numRuns: 300, seed: 1 },
    );
  });

  it('leaves timers that a timer adds for the next call, so that 0 ms cannot loop for ever', () => {
    const queue = new TimerQueue();
    let ran = 0;
    const again = (): void => {
      ran++;
      queue.add(0, undefined, again);
    };
    queue.add(0, undefined, again);
    assert.equal(queue.run(10), 1);
    assert.equal(queue.run(10), 1);
    assert.equal(ran, 2);
  });

  it('refuses a time that is no number, which would block all others', () => {
    assert.throws(() => new TimerQueue().add(NaN, undefined, () => {}), InvariantError);
  });
});
