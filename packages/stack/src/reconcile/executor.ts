import type { BrickBase, Graph, WireName } from '@mars/brick-core';
import type { PlannedBrick } from '../plan/types.js';
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
 * a wire leads to the brick that the stack file names.
 */
export class Executor {
  private readonly built = new Map<string, Built>();

  constructor(private readonly graph: Graph) {}

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
        return this.wire(step);
      case 'unwire':
        return this.graph.disconnect(nameOf(step));
      case 'param':
        return this.setParam(step.brick, step.param, step.value, target);
      case 'press':
        return this.graph.press(brick, { adapt: planned?.adapt ?? 'auto' });
      case 'release':
        return this.graph.release(brick);
      case 'destroy':
        await this.graph.destroy(brick);
        this.built.delete(brick);
        return;
    }
  }

  private viewOf(brick: BrickBase): BrickView {
    const wires = [...brick.wires].flatMap(([input, slots]) => slots.map(({ nr }) => this.wireOf(brick, input, nr)));
    const { values = {}, keep = false } = this.built.get(brick.name) ?? {};
    const { led, button, forceOff } = brick.power;
    return { name: brick.name, type: brick.meta.type, values, led, button, forceOff, keep, wires };
  }

  private wireOf(brick: BrickBase, input: string, nr: number): WireView {
    const { group, optional: isOptional = false } = brick.meta.inputs[input]!;
    const below = this.graph.providerOf({ consumer: brick.name, input, nr });
    const [provider, port] = [below?.brick ?? null, below?.port ?? ''];
    return { input, nr, isGroup: group !== undefined, isOptional, provider, port, isIdle: brick.slotIdle(input, nr) };
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

  /** An input that has a provider is swapped, also while requests are in flight; the graph checks and negotiates. */
  private async wire(step: Step & { do: 'wire' }): Promise<void> {
    const name = nameOf(step);
    if (this.graph.wire(name).connected) return this.graph.swap(name, step.provider, step.port);
    this.graph.connect(name, step.provider, step.port);
  }
}

function nameOf(step: { brick: string; input: string; nr: number }): WireName {
  return { consumer: step.brick, input: step.input, nr: step.nr };
}
