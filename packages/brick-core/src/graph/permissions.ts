import type { BrickBase } from '../brick/brick-base.js';
import { FilterBrick } from '../brick/filter-brick.js';
import type { Permission } from '../brick/meta.js';
import type { Wire } from '../brick/wire.js';
import { ErrorCode, MarsError } from '../errors.js';

const DEFAULT_PERM: readonly Permission[] = ['read', 'write'];
const DEFAULT_SHARE: readonly Permission[] = ['read'];

/** All wires of the graph that end at this brick. */
export type ConsumersOf = (provider: BrickBase) => readonly Wire[];

/**
 * What travels over this wire: a filter that does not say asks for what its own (pressed) consumers ask for, as edges of
 * QEMU's block graph do.
 */
export function permOf(wire: Wire, consumersOf: ConsumersOf): readonly Permission[] {
  const declared = wire.consumer.meta.inputs[wire.name]?.perm;
  if (declared !== undefined) return declared;
  if (!(wire.consumer instanceof FilterBrick)) return DEFAULT_PERM;
  const above = consumersOf(wire.consumer);
  return [...new Set(above.flatMap((consumer) => permOf(consumer, consumersOf)))];
}

export function shareOf(wire: Wire, consumersOf: ConsumersOf): readonly Permission[] {
  const declared = wire.consumer.meta.inputs[wire.name]?.share;
  if (declared !== undefined) return declared;
  if (!(wire.consumer instanceof FilterBrick)) return DEFAULT_SHARE;
  const above = consumersOf(wire.consumer);
  if (above.length === 0) return ['read', 'write', 'resize'];
  return DEFAULT_SHARE.concat('write', 'resize').filter((p) => above.every((c) => shareOf(c, consumersOf).includes(p)));
}

/** The first permission that the two wires cannot both have, or `undefined`. */
export function conflict(a: Wire, b: Wire, consumersOf: ConsumersOf): Permission | undefined {
  const refused = (perm: readonly Permission[], share: readonly Permission[]): Permission | undefined =>
    perm.find((p) => !share.includes(p));
  return (
    refused(permOf(a, consumersOf), shareOf(b, consumersOf)) ?? refused(permOf(b, consumersOf), shareOf(a, consumersOf))
  );
}

/**
 * Refuses a second writer: checked when a brick is pressed, against every pressed consumer of the same provider.
 * So "logger and sync never both write the disk" is kept by the core (bricks.md 5.7).
 * @throws MarsError PERMISSION_CONFLICT
 */
export function checkPermissions(brick: BrickBase, wires: Iterable<Wire>, consumersOf: ConsumersOf): void {
  for (const mine of wires) {
    if (mine.provider === null) continue;
    for (const other of consumersOf(mine.provider)) {
      if (other.consumer === brick || !reachesPressed(other, consumersOf)) continue;
      const permission = conflict(mine, other, consumersOf);
      if (permission !== undefined) throw conflictError(brick, other, mine.provider, permission);
    }
  }
}

/** A filter in between counts as active when a pressed consumer stands behind it. */
function reachesPressed(wire: Wire, consumersOf: ConsumersOf): boolean {
  if (!wire.consumer.power.button) return false;
  if (!(wire.consumer instanceof FilterBrick)) return true;
  return consumersOf(wire.consumer).some((above) => reachesPressed(above, consumersOf));
}

export function conflictError(brick: BrickBase, other: Wire, provider: BrickBase, permission: Permission): MarsError {
  return new MarsError(
    ErrorCode.PERMISSION_CONFLICT,
    `"${brick.name}" and "${other.consumer.name}" exclude each other on "${provider.name}" (${permission})`,
    {
      hint: 'Give each an "on:" condition so that only one of them runs at a time, or wire one of them elsewhere.',
      details: { provider: provider.name, consumers: [brick.name, other.consumer.name], permission },
    },
  );
}
