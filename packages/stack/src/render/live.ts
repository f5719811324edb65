import { isDeepStrictEqual } from 'node:util';
import type { StackBrickStatus, StackStatus } from '../handle.js';
import { showParam } from '../plan/late.js';
import { wireName, type PlannedBrick, type PlannedWire, type StackPlan } from '../plan/types.js';

/** What the pictures show of a brick beside its name. */
export type Lamp = 'on' | 'switching' | 'off' | 'failed' | 'unknown';

export function lampOf(brick: StackBrickStatus | undefined): Lamp {
  if (brick === undefined) return 'unknown';
  if (brick.failure !== null || brick.forceOff) return 'failed';
  return brick.led;
}

/** Status per brick; empty when the stack does not run. */
export function byName(status: StackStatus | undefined): Map<string, StackBrickStatus> {
  return new Map(status?.bricks.map((brick) => [brick.name, brick]));
}

/** Parameters on one line, secrets hidden: `write: 5ms, jitter: 3ms`. */
export function paramText(brick: PlannedBrick, maxLength = Infinity): string {
  const text = Object.entries(brick.params)
    .map(([name, value]) => `${name}: ${plain(showParam(value))}`)
    .join(', ');
  return text.length <= maxLength ? text : `${text.slice(0, maxLength - 1)}…`;
}

function plain(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(plain).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  const inner = Object.entries(value).map(([key, of]) => `${key}: ${plain(of)}`);
  return `{ ${inner.join(', ')} }`;
}

/** Name of the input, when the wire needs one to be understood. */
export function inputLabel(plan: StackPlan, wire: PlannedWire): string {
  const others = plan.wires.filter((other) => other.consumer === wire.consumer && !isDeepStrictEqual(other, wire));
  if (others.length === 0 && wire.input === 'next') return '';
  return others.some((other) => wireName(other) === wireName(wire)) ? `${wire.input}[${wire.nr}]` : wire.input;
}
