import type { BrickBase } from '../brick/brick-base.js';
import { FilterBrick } from '../brick/filter-brick.js';
import type { Permission } from '../brick/meta.js';
import type { Wire } from '../brick/wire.js';
import { ErrorCode, MarsError } from '../errors.js';
import type { ConsumersOf } from './topology.js';

const DEFAULT_PERM: readonly Permission[] = ['read', 'write'];
const DEFAULT_SHARE: readonly Permission[] = ['read'];
const SHARE_ALL: readonly Permission[] = ['read', 'write', 'resize'];

/**
 * Who claims what, seen at the moment when `pressing` is switched on (or rewired): a filter that does not say asks for
 * what the active consumers above it ask for, as edges of QEMU's block graph do.
 */
class Claims {
  constructor(
    private readonly pressing: BrickBase,
    private readonly consumersOf: ConsumersOf,
  ) {}

  permOf(wire: Wire): readonly Permission[] {
    const declared = wire.consumer.meta.inputs[wire.name]?.perm;
    if (declared !== undefined) return declared;
    if (!(wire.consumer instanceof FilterBrick)) return DEFAULT_PERM;
    return [...new Set(this.above(wire).flatMap((consumer) => this.permOf(consumer)))];
  }

  shareOf(wire: Wire): readonly Permission[] {
    const declared = wire.consumer.meta.inputs[wire.name]?.share;
    if (declared !== undefined) return declared;
    if (!(wire.consumer instanceof FilterBrick)) return DEFAULT_SHARE;
    const above = this.above(wire);
    return SHARE_ALL.filter((p) => above.every((consumer) => this.shareOf(consumer).includes(p)));
  }

  /** A filter without claims of its own counts only when somebody behind it does. */
  isActive(wire: Wire): boolean {
    const { consumer } = wire;
    if (consumer !== this.pressing && !consumer.power.button) return false;
    const speaksForOthers = consumer instanceof FilterBrick && consumer.meta.inputs[wire.name]?.perm === undefined;
    return !speaksForOthers || this.above(wire).length > 0;
  }

  /** The first permission that the two wires cannot both have, or `undefined`. */
  conflict(a: Wire, b: Wire): Permission | undefined {
    const refused = (perm: readonly Permission[], share: readonly Permission[]): Permission | undefined =>
      perm.find((p) => !share.includes(p));
    return refused(this.permOf(a), this.shareOf(b)) ?? refused(this.permOf(b), this.shareOf(a));
  }

  private above(wire: Wire): Wire[] {
    return this.consumersOf(wire.consumer).filter((consumer) => this.isActive(consumer));
  }
}

/**
 * Refuses a second writer: checked when a brick is pressed, against every active consumer of the same provider, and of
 * every provider further down that it reaches through filters. So "logger and sync never both write the disk" is kept by
 * the core (bricks.md 5.7), however many filters lie in between and whichever of them was switched on first.
 * @throws MarsError PERMISSION_CONFLICT
 */
export function checkPermissions(brick: BrickBase, wires: readonly Wire[], consumersOf: ConsumersOf): void {
  const claims = new Claims(brick, consumersOf);
  for (const wire of wires) checkDown(brick, wire, claims, consumersOf);
}

function checkDown(brick: BrickBase, mine: Wire, claims: Claims, consumersOf: ConsumersOf): void {
  const { provider } = mine;
  if (provider === null || !claims.isActive(mine)) return;
  for (const other of consumersOf(provider)) {
    if (other.consumer === mine.consumer || !claims.isActive(other)) continue;
    const permission = claims.conflict(mine, other);
    if (permission !== undefined) throw conflictError(brick, other, provider, permission);
  }
  if (!(provider instanceof FilterBrick)) return;
  for (const slots of provider.wires.values()) for (const wire of slots) checkDown(brick, wire, claims, consumersOf);
}

function conflictError(brick: BrickBase, other: Wire, provider: BrickBase, permission: Permission): MarsError {
  return new MarsError(
    ErrorCode.PERMISSION_CONFLICT,
    `"${brick.name}" and "${other.consumer.name}" exclude each other on "${provider.name}" (${permission})`,
    {
      hint: 'Give each an "on:" condition so that only one of them runs at a time, or wire one of them elsewhere.',
      details: { provider: provider.name, consumers: [brick.name, other.consumer.name], permission },
    },
  );
}
