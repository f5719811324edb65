import { hooksOf, type BrickBase } from '../brick/brick-base.js';
import { FilterBrick } from '../brick/filter-brick.js';
import type { Wire } from '../brick/wire.js';
import { errnoName } from '../errno.js';
import { ErrorCode, MarsError } from '../errors.js';
import type { GraphState } from './graph-state.js';
import { findGaps } from './negotiate.js';

/** What a wire's provider offers is asked here, compared with what its consumer needs, and told to those above. */

/** Whether a consumer may be given adaptors where its provider offers too little. */
export type AdaptMode = 'auto' | 'never';

/** Asks the provider. @throws MarsError CAPABILITY_GAP when it cannot tell */
export function checkInfo(wire: Wire): void {
  const err = wire.refresh();
  if (err >= 0) return;
  throw new MarsError(
    ErrorCode.CAPABILITY_GAP,
    `"${wire.provider!.name}" cannot tell "${wire.consumer.name}" what it offers (${errnoName(err)})`,
    { hint: `Look at "${wire.provider!.name}" and what lies below it.` },
  );
}

/** @throws MarsError CAPABILITY_GAP */
export function checkGaps(wire: Wire, adapt: AdaptMode): void {
  const left = findGaps(wire.consumer.meta.inputs[wire.name]!.needs, wire.cached);
  if (left.length === 0) return;
  throw new MarsError(
    ErrorCode.CAPABILITY_GAP,
    `"${wire.provider!.name}" does not offer what "${wire.consumer.name}" needs: ${left.map((g) => g.text).join('; ')}`,
    {
      hint:
        adapt === 'never'
          ? 'Allow adaptors ("adapt: auto"), or choose another provider.'
          : 'No adaptor can close this gap; choose another provider.',
    },
  );
}

/** A filter has a new provider: those above who are on must still get what they need. @throws MarsError CAPABILITY_GAP */
export function checkGapsAbove(state: GraphState, brick: BrickBase): void {
  if (!(brick instanceof FilterBrick)) return;
  for (const wire of state.consumersOf(brick)) {
    wire.refresh();
    if (wire.consumer.power.button) checkGaps(wire, 'auto');
    checkGapsAbove(state, wire.consumer);
  }
}

/** A wire has a new provider. */
export function tellConsumer(state: GraphState, wire: Wire): void {
  hooksOf(wire.consumer).inputChanged(wire);
  spreadInfo(state, wire.consumer);
}

/** Consumers read `cached`: it must be fresh after every change below, all the way up. */
export function spreadInfo(state: GraphState, brick: BrickBase): void {
  for (const wire of state.consumersOf(brick)) {
    wire.refresh();
    hooksOf(wire.consumer).inputChanged(wire);
    if (wire.consumer instanceof FilterBrick) spreadInfo(state, wire.consumer);
  }
}
