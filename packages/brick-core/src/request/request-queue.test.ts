import assert from 'node:assert/strict';
import fc from 'fast-check';
import { DebugArena } from './arena.js';
import { XioPool } from './pool.js';
import { RequestQueue } from './request-queue.js';
import type { XioObject } from './xio-object.js';

const REQUESTS = 8;

describe('RequestQueue', () => {
  const objects = (): XioObject[] => {
    const pool = new XioPool(new DebugArena(new ArrayBuffer(2 ** 20)), REQUESTS);
    return Array.from({ length: REQUESTS }, () => pool.take({ rank: 0 } as never, 0)!);
  };

  it('does what an array does, and leaves no link behind', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('push', 'unshift', 'shift'), { maxLength: 60 }), (steps) => {
        const free = objects();
        const model: XioObject[] = [];
        const queue = new RequestQueue();
        for (const step of steps) {
          if (step === 'shift') {
            const o = queue.shift();
            assert.equal(o, model.shift() ?? null);
            if (o !== null) assert.equal(free.push(o) > 0 && o.link, null);
          } else if (free.length > 0) {
            const o = free.pop()!;
            queue[step](o);
            model[step](o);
          }
          assert.equal(queue.peek(), model[0] ?? null);
          assert.equal(queue.length, model.length);
        }
      }),
    );
  });

  it('refuses a request that stands in a queue already, the last one too', () => {
    const [a, b] = objects();
    const [one, other] = [new RequestQueue(), new RequestQueue()];
    one.push(a!);
    one.push(b!);
    assert.throws(() => other.push(a!), /two queues/);
    assert.throws(() => other.unshift(a!), /two queues/);
    assert.throws(() => one.push(b!), /two queues/);
  });
});
