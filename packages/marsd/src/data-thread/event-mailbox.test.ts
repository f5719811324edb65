import assert from 'node:assert/strict';
import type { StackEvent } from '@mars/stack';
import fc from 'fast-check';
import { EventMailbox } from './event-mailbox.js';
import { MAX_EVENTS_UNDER_WAY, MAX_EVENTS_WAITING } from './limits.js';

const fact = (brick: string, value: number): StackEvent => ({ kind: 'fact', brick, name: 'n', value });

describe('The events of a thread on their way to a slow owner', () => {
  let sent: StackEvent[];
  let mailbox: EventMailbox;

  beforeEach(() => {
    sent = [];
    mailbox = new EventMailbox((event) => sent.push(event));
  });

  it('all travel, in order, as long as the owner keeps up', () => {
    const all = Array.from({ length: 3 * MAX_EVENTS_UNDER_WAY }, (_, i) => fact('a', i));
    for (const event of all) {
      mailbox.push(event);
      mailbox.seen(1);
    }
    assert.deepEqual(sent, all);
  });

  it('are never more under way than the bound, and never more kept than the bound', () => {
    const many = MAX_EVENTS_UNDER_WAY + 2 * MAX_EVENTS_WAITING;
    for (let i = 0; i < many; i++) mailbox.push(fact(`brick-${i}`, i));
    assert.equal(sent.length, MAX_EVENTS_UNDER_WAY);
    mailbox.flush();
    assert.equal(sent.length, MAX_EVENTS_UNDER_WAY + MAX_EVENTS_WAITING);
    assert.deepEqual(sent.at(-1), fact(`brick-${many - 1}`, many - 1));
  });

  it('end with the last value of everything, however slow the owner is', () => {
    const names = ['a', 'b', 'c'] as const;
    const step = fc.oneof(fc.constantFrom(...names), fc.integer({ min: 1, max: 64 }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const seen: StackEvent[] = [];
        const box = new EventMailbox((event) => seen.push(event));
        for (let i = 0; i < MAX_EVENTS_UNDER_WAY; i++) box.push({ kind: 'led', brick: `x${i}`, led: 'on' });
        const last = new Map<string, number>();
        let [reported, value] = [0, 0];
        for (const one of steps) {
          if (typeof one === 'string') {
            box.push(fact(one, ++value));
            last.set(one, value);
          } else {
            const more = Math.min(one, seen.length - reported);
            reported += more;
            box.seen(more);
          }
        }
        box.flush();
        const values = seen.flatMap((event) => (event.kind === 'fact' ? [event] : []));
        for (const name of names) {
          assert.equal(values.filter((event) => event.brick === name).at(-1)?.value, last.get(name));
        }
        const order = values.map((event) => event.value as number);
        assert.deepEqual(
          order,
          [...order].sort((p, q) => p - q),
        );
      }),
    );
  });
});
