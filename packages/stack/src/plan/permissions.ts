import { FilterBrick, PERMISSIONS, type BrickRegistry, type BrickType, type Permission } from '@mars/brick-core';
import type { PlannedBrick, PlannedWire, StackPlan } from './types.js';

/** Two consumers of one provider that exclude each other. */
export interface Conflict {
  provider: string;
  first: PlannedWire;
  second: PlannedWire;
  permission: Permission;
}

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
      const wires = this.above.get(provider.name)!.filter((wire) => this.reaches(wire, on));
      return wires.flatMap((second, nr) =>
        wires.slice(0, nr).flatMap((first) => this.conflict(provider.name, first, second)),
      );
    });
  }

  /** A filter counts as active when somebody who is on stands behind it. */
  private reaches(wire: PlannedWire, on: ReadonlySet<string>): boolean {
    if (!on.has(wire.consumer)) return false;
    return !this.isFilter(wire.consumer) || this.above.get(wire.consumer)!.some((above) => this.reaches(above, on));
  }

  private conflict(provider: string, first: PlannedWire, second: PlannedWire): Conflict[] {
    if (first.consumer === second.consumer) return [];
    const permission =
      this.perm(first).find((p) => !this.share(second).includes(p)) ??
      this.perm(second).find((p) => !this.share(first).includes(p));
    return permission === undefined ? [] : [{ provider, first, second, permission }];
  }

  private perm(wire: PlannedWire): readonly Permission[] {
    const declared = this.types.get(wire.consumer)?.meta.inputs[wire.input]?.perm;
    if (declared !== undefined) return declared;
    if (!this.isFilter(wire.consumer)) return ['read', 'write'];
    return this.above.get(wire.consumer)!.flatMap((above) => this.perm(above));
  }

  private share(wire: PlannedWire): readonly Permission[] {
    const declared = this.types.get(wire.consumer)?.meta.inputs[wire.input]?.share;
    if (declared !== undefined) return declared;
    if (!this.isFilter(wire.consumer)) return ['read'];
    return PERMISSIONS.filter((p) => this.above.get(wire.consumer)!.every((above) => this.share(above).includes(p)));
  }

  private isFilter(name: string): boolean {
    const type = this.types.get(name);
    return type !== undefined && type.cls.prototype instanceof FilterBrick;
  }
}
