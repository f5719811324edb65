import {
  ErrorCode,
  MarsError,
  findGaps,
  type BrickBase,
  type BrickRegistry,
  type Graph,
  type Wire,
  type WireName,
} from '@mars/brick-core';
import { PlannedPermissions } from '../plan/permissions.js';
import type { PlannedBrick, PlannedWire, StackPlan } from '../plan/types.js';
import type { Step } from './steps.js';
import type { Target } from './target.js';
import type { BrickView, GraphView, WireView } from './view.js';

/** What was built, as far as the graph does not know it. */
interface Built {
  values: Readonly<Record<string, unknown>>;
  keep: boolean;
}

/**
 * Does single steps on the graph, and looks at it. It knows nothing of plans; the only thing it hides are adaptors:
 * outside, a wire leads to the brick that the stack file names.
 */
export class Executor {
  private readonly built = new Map<string, Built>();

  constructor(
    private readonly graph: Graph,
    private readonly registry: BrickRegistry,
  ) {}

  view(): GraphView {
    const bricks = this.graph.names().filter((name) => !this.graph.isAdaptor(name));
    return { bricks: new Map(bricks.map((name) => [name, this.viewOf(this.graph.get(name))])) };
  }

  /** @throws MarsError whatever the graph says; then nothing, or only a part that the next plan will see, has changed */
  async run(step: Step, planned: PlannedBrick | undefined, target: Target): Promise<void> {
    const { brick } = step;
    switch (step.do) {
      case 'build':
        return this.build(brick, planned!, target);
      case 'wire':
        return this.wire(step, step.provider, step.port);
      case 'unwire':
        await this.graph.disconnect(nameOf(step));
        return this.dropOrphans();
      case 'param':
        return this.setParam(step.brick, step.param, step.value, target);
      case 'press':
        for (const name of this.adaptorsBelow(brick)) await this.graph.press(name);
        return this.graph.press(brick, { adapt: planned?.adapt ?? 'auto' });
      case 'release':
        return this.graph.release(brick);
      case 'destroy':
        await this.graph.destroy(brick);
        this.built.delete(brick);
        return this.dropOrphans();
    }
  }

  private viewOf(brick: BrickBase): BrickView {
    const wires = [...brick.wires].flatMap(([input, slots]) =>
      slots.map((wire): WireView => {
        const low = this.lowest(wire);
        const { group, optional: isOptional = false } = brick.meta.inputs[input]!;
        const isIdle = brick.slotIdle(input, wire.nr);
        return {
          input,
          nr: wire.nr,
          isGroup: group !== undefined,
          isOptional,
          provider: low.provider?.name ?? null,
          port: low.providerPort,
          isIdle,
        };
      }),
    );
    const { values = {}, keep = false } = this.built.get(brick.name) ?? {};
    const { led, button, forceOff } = brick.power;
    return { name: brick.name, type: brick.meta.type, values, led, button, forceOff, keep, wires };
  }

  private build(name: string, planned: PlannedBrick, target: Target): void {
    const { params, values } = target.bricks.get(name)!;
    const brick = this.graph.add(name, planned.type, params!);
    brick.power.ioTimeoutMs = planned.ioTimeoutMs;
    this.built.set(name, { values: values!, keep: planned.keep });
  }

  private setParam(name: string, param: string, value: unknown, target: Target): void {
    const schema = this.graph.get(name).meta.params.properties?.[param];
    this.graph.setParam(name, param, value === undefined ? schema?.default : value);
    const built = this.built.get(name)!;
    this.built.set(name, { ...built, values: { ...built.values, [param]: target.bricks.get(name)!.values![param] } });
  }

  private async wire(step: Step & { do: 'wire' }, provider: string, port: string): Promise<void> {
    const name = nameOf(step);
    const wire = this.graph.wire(name);
    if (!wire.consumer.power.ledOff) return this.rewireUnderLoad(wire, provider, port);
    // Off: forget adaptors, too; what the new provider needs is negotiated when the button is pressed.
    await this.graph.disconnect(name);
    await this.dropOrphans();
    this.graph.connect(name, provider, port);
  }

  /**
   * Changes the wire below the adaptors that negotiation has put on it: they serve what the consumer needs, and they
   * still do so above another provider. Should a need be left open, the wire is put back as it was.
   */
  private async rewireUnderLoad(top: Wire, provider: string, port: string): Promise<void> {
    const low = this.lowest(top);
    const before = low.provider === null ? null : { provider: low.provider.name, port: low.providerPort };
    this.refuseSecondWriter(top, provider, port);
    await this.graph.swap(wireNameOf(low), provider, port);
    const gaps = findGaps(top.consumer.meta.inputs[top.name]?.needs, top.cached);
    if (gaps.length === 0) return;
    if (before === null) await this.graph.disconnect(wireNameOf(low));
    else await this.graph.swap(wireNameOf(low), before.provider, before.port);
    throw new MarsError(
      ErrorCode.CAPABILITY_GAP,
      `"${provider}" does not offer what "${top.consumer.name}" needs: ${gaps.map((g) => g.text).join('; ')}`,
      {
        hint: `Switch "${top.consumer.name}" off first; adaptors are inserted when it is switched on.`,
      },
    );
  }

  /** Pressing checks permissions; changing the wire of a brick that is on must not be a way around that. */
  private refuseSecondWriter(top: Wire, provider: string, port: string): void {
    const view = this.view();
    const wires = [...view.bricks.values()].flatMap((brick) =>
      brick.wires.flatMap((wire): PlannedWire[] => {
        const isThis = brick.name === top.consumer.name && wire.input === top.name && wire.nr === top.nr;
        const to = isThis ? { provider, port } : { provider: wire.provider, port: wire.port };
        return to.provider === null
          ? []
          : [{ consumer: brick.name, input: wire.input, nr: wire.nr, provider: to.provider, port: to.port }];
      }),
    );
    const bricks = [...view.bricks.values()] as unknown as StackPlan['bricks'];
    const found = new PlannedPermissions({ bricks, wires }, this.registry).conflicts(
      (brick) => view.bricks.get(brick.name)!.button,
    )[0];
    if (found === undefined) return;
    throw new MarsError(
      ErrorCode.PERMISSION_CONFLICT,
      `"${found.first.consumer}" and "${found.second.consumer}" exclude each other on "${found.provider}" (${found.permission})`,
      { hint: 'Switch one of them off first.' },
    );
  }

  /** The wire that leads to the brick which the stack file names: below all adaptors. */
  private lowest(wire: Wire): Wire {
    let low = wire;
    while (low.provider !== null && this.graph.isAdaptor(low.provider.name)) low = firstWire(low.provider);
    return low;
  }

  /** Adaptors under a brick that are off, lowest first; they went off together with their provider. */
  private adaptorsBelow(name: string): string[] {
    const found: string[] = [];
    for (const wire of [...this.graph.get(name).wires.values()].flat()) {
      for (let at = wire.provider; at !== null && this.graph.isAdaptor(at.name); at = firstWire(at).provider) {
        if (at.power.ledOff) found.unshift(at.name);
      }
    }
    return found;
  }

  private async dropOrphans(): Promise<void> {
    for (;;) {
      const orphan = this.graph
        .names()
        .find((name) => this.graph.isAdaptor(name) && this.graph.consumersOf(this.graph.get(name)).length === 0);
      if (orphan === undefined) return;
      await this.graph.release(orphan);
      await this.graph.destroy(orphan);
    }
  }
}

function firstWire(brick: BrickBase): Wire {
  return [...brick.wires.values()][0]![0]!;
}

function nameOf(step: { brick: string; input: string; nr: number }): WireName {
  return { consumer: step.brick, input: step.input, nr: step.nr };
}

function wireNameOf(wire: Wire): WireName {
  return { consumer: wire.consumer.name, input: wire.name, nr: wire.nr };
}
