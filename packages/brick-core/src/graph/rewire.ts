import { hooksOf, type BrickBase } from '../brick/brick-base.js';
import { FilterBrick } from '../brick/filter-brick.js';
import type { Wire } from '../brick/wire.js';
import { ErrorCode, MarsError } from '../errors.js';
import { discard, type Adaptors, type BrickLife } from './adapt.js';
import type { GraphState, WireName } from './graph-state.js';
import { checkGaps, checkGapsAbove, tellConsumer } from './offers.js';
import type { Switching } from './switching.js';
import { firstWire, pathBetween, wireText } from './topology.js';
import { attachWire, checkLive } from './wiring.js';

/** A filter that is to be put on a wire. */
export interface FilterSpec {
  name: string;
  type: string;
  params?: Record<string, unknown>;
}

/**
 * Changes of wires, also under load. Every one of them is the same four steps:
 *
 * ```
 *   gate      new requests wait at the wire, in order
 *   drain     those under way come back from the old provider
 *   exchange  with the checks that a press would make; on an error the old provider comes back
 *   ungate    the waiting ones go to the new provider, oldest first
 * ```
 * Changes run one after the other, so each of them may rely on what it has seen. Source: bricks.md 5.8.
 */
export class Rewiring {
  private changes: Promise<void> = Promise.resolve();

  constructor(
    private readonly state: GraphState,
    private readonly switching: Switching,
    private readonly adaptors: Adaptors,
    private readonly life: BrickLife,
  ) {}

  /** The wire has carried nothing yet, so there is nothing to wait for, and nobody to put an adaptor in. */
  connect(name: WireName, provider: string, port: string): void {
    const { state } = this;
    const wire = state.wire(name);
    if (wire.connected) throw secondProviderError(wire);
    attachWire(state, wire, state.get(provider), port);
    if (!wire.consumer.power.button) return;
    try {
      checkLive(state, wire);
      checkGaps(wire, 'never');
    } catch (error) {
      wire.disconnect();
      state.rerank();
      throw error;
    }
    tellConsumer(state, wire);
  }

  disconnect(name: WireName): Promise<void> {
    return this.inOrder(async () => {
      const wire = this.state.wire(name);
      if (!wire.connected) return;
      await this.drain(wire);
      const before = wire.provider;
      wire.disconnect();
      wire.ungate();
      this.state.rerank();
      await this.adaptors.dropUnused(before);
    });
  }

  swap(name: WireName, provider: string, port: string): Promise<void> {
    return this.inOrder(() => this.swapNow(name, provider, port));
  }

  insert(name: WireName, filter: FilterSpec): Promise<void> {
    return this.inOrder(() => this.insertNow(name, filter));
  }

  remove(filterName: string): Promise<void> {
    return this.inOrder(() => this.removeNow(this.state.get(filterName)));
  }

  private async swapNow(name: WireName, provider: string, port: string): Promise<void> {
    const { state } = this;
    const wire = state.wire(name);
    await this.drain(wire);
    const before = wire.provider;
    const portBefore = wire.providerPort;
    try {
      // When `before` still lies below the new provider (a filter was put above it), nothing leads past it.
      if (before?.power.ledOn && !pathBetween(state.get(provider), before)) await hooksOf(before).bypassed();
      attachWire(state, wire, state.get(provider), port);
      try {
        await this.makeFit(wire);
      } catch (error) {
        await this.putBack(wire, before, portBefore);
        throw error;
      }
    } finally {
      // Before the gate opens: whoever derives something from `cached` must know it before the first request.
      tellConsumer(state, wire);
      wire.ungate();
    }
    await this.adaptors.dropUnused(before);
  }

  /** A wire of a brick that is on has a new provider: the same checks as when it was pressed. */
  private async makeFit(wire: Wire): Promise<void> {
    const { consumer } = wire;
    if (!consumer.power.button) return;
    checkLive(this.state, wire);
    await this.adaptors.negotiate(wire, this.switching.adaptModeOf(consumer));
    checkGapsAbove(this.state, consumer);
  }

  private async putBack(wire: Wire, before: BrickBase | null, port: string): Promise<void> {
    const made = wire.provider;
    if (before === null) wire.disconnect();
    else wire.connect(before, port, before.output(port));
    this.state.rerank();
    if (made !== before) await this.adaptors.dropUnused(made);
  }

  private async insertNow(name: WireName, filter: FilterSpec): Promise<void> {
    const { state, life } = this;
    const wire = state.wire(name);
    const below = wire.provider;
    if (below === null)
      throw new MarsError(ErrorCode.BAD_WIRE, `${wireText(wire)} has no provider`, {
        hint: 'A filter goes between two bricks.',
      });
    const brick = life.add(filter.name, filter.type, filter.params);
    try {
      if (!(brick instanceof FilterBrick)) throw noFilterError(filter.type);
      attachWire(state, firstWire(brick)!, below, wire.providerPort);
      if (below.power.ledOn) await life.press(filter.name);
      // By name: its consumer may have gone while the filter was starting.
      await this.swapNow(name, filter.name, 'out');
    } catch (error) {
      await discard(state, life, brick);
      throw error;
    }
  }

  private async removeNow(brick: BrickBase): Promise<void> {
    const below = brick instanceof FilterBrick ? firstWire(brick)! : undefined;
    if (below?.provider == null)
      throw new MarsError(ErrorCode.BAD_WIRE, `"${brick.name}" is no filter on a wire`, {
        hint: 'Only filters can be taken out.',
      });
    for (const wire of this.state.consumersOf(brick))
      await this.swapNow(nameOf(wire), below.provider.name, below.providerPort);
    await this.life.release(brick.name);
    await this.life.destroy(brick.name);
  }

  /** Closes the gate and waits until nothing is under way. @throws MarsError DRAIN_STUCK; the gate is open again */
  private async drain(wire: Wire): Promise<void> {
    wire.gate();
    if (wire.held === 0) return;
    const { loop, options } = this.state;
    const limitMs = options.drainTimeoutMs ?? 0;
    let isLate = false;
    if (limitMs > 0)
      loop.after(limitMs, undefined, () => {
        isLate = true;
      });
    await loop.whenQuiet(() => wire.held === 0 || isLate);
    if (wire.held === 0) return;
    wire.ungate();
    throw new MarsError(
      ErrorCode.DRAIN_STUCK,
      `${wire.held} requests at ${wireText(wire)} did not come back within ${limitMs} ms`,
      {
        hint: `Look at "${wire.provider?.name}" and what lies below it; nothing was changed.`,
      },
    );
  }

  private inOrder<T>(change: () => Promise<T>): Promise<T> {
    const result = this.changes.then(change);
    this.changes = result.then(
      () => {},
      () => {},
    );
    return result;
  }
}

function nameOf(wire: Wire): WireName {
  return { consumer: wire.consumer.name, input: wire.name, nr: wire.nr };
}

function secondProviderError(wire: Wire): MarsError {
  return new MarsError(ErrorCode.BAD_WIRE, `${wireText(wire)} has a provider already ("${wire.provider!.name}")`, {
    hint: 'An input has one provider; disconnect it first, or use a brick with several inputs.',
  });
}

function noFilterError(type: string): MarsError {
  return new MarsError(ErrorCode.BAD_WIRE, `brick type "${type}" is no filter`, {
    hint: 'Only a brick with one input and one output fits on a wire.',
  });
}
