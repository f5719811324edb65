import {
  FilterBrick,
  PERMISSIONS,
  type BrickRegistry,
  type BrickType,
  type Permission,
  type PortMeta,
} from '@mars/brick-core';
import type { PlannedBrick, PlannedWire, StackPlan } from './types.js';

/** Two consumers of one provider that exclude each other. */
export interface Conflict {
  provider: string;
  first: PlannedWire;
  second: PlannedWire;
  permission: Permission;
}

type On = ReadonlySet<string>;

/**
 * Who may do what on whom, as far as the plan tells: the same rules that the graph applies when a brick is pressed
 * (bricks.md 5.7), so that a stack with two writers is refused before anything is built.
 */
export class PlannedPermissions {
  private readonly types = new Map<string, BrickType>();
  private readonly above = new Map<string, PlannedWire[]>();

  constructor(
    private readonly plan: Pick<StackPlan, 'bricks' | 'wires'>,
    registry: BrickRegistry,
  ) {
    for (const brick of plan.bricks) {
      const type = registry.find(brick.type);
      if (type !== undefined) this.types.set(brick.name, type);
      this.above.set(brick.name, []);
    }
    for (const wire of plan.wires) this.above.get(wire.provider)?.push(wire);
  }

  /** Conflicts between bricks that `isOn` says are on together. */
  conflicts(isOn: (brick: PlannedBrick) => boolean): Conflict[] {
    const on = new Set(this.plan.bricks.filter(isOn).map((brick) => brick.name));
    return this.plan.bricks.flatMap((provider) => {
      const wires = this.active(provider.name, on);
      return wires.flatMap((second, nr) =>
        wires.slice(0, nr).flatMap((first) => this.conflict(provider.name, first, second, on)),
      );
    });
  }

  /** Wires to this provider whose consumers count: a filter without claims of its own speaks for those behind it. */
  private active(provider: string, on: On): PlannedWire[] {
    return this.above.get(provider)!.filter((wire) => {
      if (!on.has(wire.consumer)) return false;
      return !this.speaksForOthers(wire) || this.active(wire.consumer, on).length > 0;
    });
  }

  private conflict(provider: string, first: PlannedWire, second: PlannedWire, on: On): Conflict[] {
    if (first.consumer === second.consumer) return [];
    const refused = (a: PlannedWire, b: PlannedWire): Permission | undefined =>
      this.perm(a, on).find((p) => !this.share(b, on).includes(p));
    const permission = refused(first, second) ?? refused(second, first);
    return permission === undefined ? [] : [{ provider, first, second, permission }];
  }

  private perm(wire: PlannedWire, on: On): readonly Permission[] {
    const declared = this.portOf(wire)?.perm;
    if (declared !== undefined) return declared;
    if (!this.isFilter(wire.consumer)) return ['read', 'write'];
    return this.active(wire.consumer, on).flatMap((above) => this.perm(above, on));
  }

  private share(wire: PlannedWire, on: On): readonly Permission[] {
    const declared = this.portOf(wire)?.share;
    if (declared !== undefined) return declared;
    if (!this.isFilter(wire.consumer)) return ['read'];
    return PERMISSIONS.filter((p) =>
      this.active(wire.consumer, on).every((above) => this.share(above, on).includes(p)),
    );
  }

  private portOf(wire: PlannedWire): PortMeta | undefined {
    return this.types.get(wire.consumer)?.meta.inputs[wire.input];
  }

  private speaksForOthers(wire: PlannedWire): boolean {
    return this.isFilter(wire.consumer) && this.portOf(wire)?.perm === undefined;
  }

  private isFilter(name: string): boolean {
    const type = this.types.get(name);
    return type !== undefined && type.cls.prototype instanceof FilterBrick;
  }
}
