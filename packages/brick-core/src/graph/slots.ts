import { ErrorCode, MarsError } from '../errors.js';
import { MAX_BRICK_SLOTS } from '../limits.js';
import type { Loop } from '../loop/loop.js';

/**
 * Aspect slots of one loop. A freed slot is swept from every pooled object before it is given out again, so a brick
 * never finds the private state of a dead one (bricks.md 1.4, 5.3 rule 9).
 */
export class SlotTable {
  private readonly free: number[] = [];
  private next = 0;

  constructor(private readonly loop: Loop) {}

  take(): number {
    const slot = this.free.pop() ?? this.next++;
    if (slot >= MAX_BRICK_SLOTS) {
      throw new MarsError(ErrorCode.LIMIT_REACHED, `more than ${MAX_BRICK_SLOTS} bricks in one loop`, {
        hint: 'Spread the resources over several workers.',
        details: { limit: 'MAX_BRICK_SLOTS' },
      });
    }
    this.loop.pool.reserveSlots(slot + 1);
    return slot;
  }

  give(slot: number): void {
    this.loop.pool.sweepSlot(slot);
    this.free.push(slot);
  }
}

const tables = new WeakMap<Loop, SlotTable>();

export function slotsOf(loop: Loop): SlotTable {
  let table = tables.get(loop);
  if (table === undefined) tables.set(loop, (table = new SlotTable(loop)));
  return table;
}
