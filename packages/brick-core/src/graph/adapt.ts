import type { BrickBase } from '../brick/brick-base.js';
import type { Wire } from '../brick/wire.js';
import type { GraphState } from './graph-state.js';
import { findGaps, type Gap } from './negotiate.js';
import { checkGaps, checkInfo, type AdaptMode } from './offers.js';
import { allWires, firstWire, wireText } from './topology.js';
import { attachWire } from './wiring.js';

/** How bricks are made, switched and taken out: the graph itself. Those who put bricks in for others need all of it. */
export interface BrickLife {
  add(name: string, type: string, params?: Readonly<Record<string, unknown>>): BrickBase;
  press(name: string): Promise<void>;
  release(name: string): Promise<void>;
  destroy(name: string): Promise<void>;
}

/** A brick that was put in and is not wanted after all; one that got a consumer meanwhile stays. */
export async function discard(state: GraphState, life: BrickLife, brick: BrickBase): Promise<void> {
  if (!brick.power.ledOff) await life.release(brick.name);
  if (state.consumersOf(brick).length === 0) await life.destroy(brick.name);
}

/**
 * Negotiation: where a provider offers less than its consumer needs, adaptors go in between.
 *
 * ```
 *   logger.data ──> fua ──> align ──> disk        the stack file says: logger.data ──> disk
 * ```
 * An adaptor is a brick like any other and is switched like one. It goes when the brick that needed it goes off, or when its
 * wire leads elsewhere. Source: bricks.md 5.7.
 */
export class Adaptors {
  constructor(
    private readonly state: GraphState,
    private readonly life: BrickLife,
  ) {}

  /**
   * Closes the gaps between a wire's ends; both must be quiet.
   * @throws MarsError CAPABILITY_GAP, and whatever keeps an adaptor from going on
   */
  async negotiate(wire: Wire, adapt: AdaptMode): Promise<void> {
    checkInfo(wire);
    const needs = wire.consumer.meta.inputs[wire.name]!.needs;
    const tried = new Set<string>();
    const helps = (gap: Gap): boolean =>
      gap.adaptor !== undefined &&
      !tried.has(gap.adaptor.type) &&
      this.state.options.registry.find(gap.adaptor.type) !== undefined;
    while (adapt === 'auto') {
      // Asked again after every adaptor: it may close one gap and open another.
      const gap = findGaps(needs, wire.cached).find(helps);
      if (gap === undefined) break;
      tried.add(gap.adaptor!.type);
      await this.insert(wire, gap.adaptor!.type, gap.adaptor!.params);
    }
    checkGaps(wire, adapt);
  }

  /** What an input is wired to, as the stack file says it; `null` = not wired. */
  realProvider(wire: Wire): { brick: BrickBase; port: string } | null {
    let at = wire;
    while (at.provider !== null && this.state.adaptors.has(at.provider)) at = firstWire(at.provider)!;
    return at.provider === null ? null : { brick: at.provider, port: at.providerPort };
  }

  /** Adaptors live as long as the brick that needs them is on: the next press may need others. */
  async dropFor(brick: BrickBase): Promise<void> {
    for (const wire of allWires(brick)) {
      const adaptor = wire.provider;
      const real = this.realProvider(wire);
      if (adaptor === null || real === null || real.brick === adaptor) continue;
      await this.state.loop.whenQuiet(() => wire.held === 0);
      if (wire.provider !== adaptor) continue;
      wire.connect(real.brick, real.port, real.brick.output(real.port));
      this.state.rerank();
      await this.dropUnused(adaptor);
    }
  }

  /** A wire does not lead to this provider any more: if it was an adaptor, and the last wire, it goes. */
  async dropUnused(provider: BrickBase | null): Promise<void> {
    const { state, life } = this;
    if (provider === null || !state.adaptors.has(provider) || state.consumersOf(provider).length > 0) return;
    await life.release(provider.name);
    // Two roads may lead here; the second one finds it gone, or in use again.
    if (state.bricks.get(provider.name) !== provider || state.consumersOf(provider).length > 0) return;
    await life.destroy(provider.name);
  }

  private async insert(wire: Wire, type: string, params: Record<string, unknown>): Promise<void> {
    const { state, life } = this;
    const below = wire.provider!;
    const brick = life.add(this.freeName(wire, type), type, params);
    state.adaptors.add(brick);
    try {
      attachWire(state, firstWire(brick)!, below, wire.providerPort);
      await life.press(brick.name);
    } catch (error) {
      await discard(state, life, brick);
      throw error;
    }
    // Somebody else has rewired it meanwhile: what was needed here may not be needed there.
    if (wire.provider !== below) return discard(state, life, brick);
    wire.connect(brick, 'out', brick.output('out'));
    state.rerank();
    state.log.info({ wire: wireText(wire), adaptor: type }, 'adaptor inserted');
  }

  private freeName(wire: Wire, type: string): string {
    const base = `${wire.consumer.name}.${wire.name}${wire.nr || ''}~${type}`;
    let name = base;
    for (let n = 2; this.state.bricks.has(name); n++) name = `${base}-${n}`;
    return name;
  }
}
