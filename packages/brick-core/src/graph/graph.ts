import type { BrickBase } from '../brick/brick-base.js';
import type { FaultSink } from '../brick/fault.js';
import type { Wire } from '../brick/wire.js';
import type { Loop } from '../loop/loop.js';
import { Adaptors, type BrickLife } from './adapt.js';
import { Builder, setLiveParam } from './build.js';
import { GraphState, type GraphEvent, type GraphOptions, type WireName } from './graph-state.js';
import type { AdaptMode } from './offers.js';
import { Rewiring, type FilterSpec } from './rewire.js';
import { statusOf, type BrickStatus } from './status.js';
import { Switching } from './switching.js';

export type { GraphEvent, GraphOptions, WireName } from './graph-state.js';
export type { BrickStatus } from './status.js';
export { wireText } from './topology.js';

/**
 * The bricks of one stack and their wires: builds, connects, switches and changes them under load.
 *
 * It enforces what must hold between bricks: no cycle, one provider per input, providers on before consumers and off
 * after them, no two writers, no gap between what is needed and what is offered. What *should* run is somebody else's
 * decision (package `stack`). Each phase has its file; the graph is their common door:
 *
 * ```
 *   build.ts       a brick begins and ends        switching.ts   on and off, faulty bricks
 *   wiring.ts      rules of wires                 adapt.ts       bricks that negotiation puts in
 *   offers.ts      who offers what to whom        rewire.ts      changes under load
 *   topology.ts    above, below, rank             graph-state.ts what they share
 * ```
 * Source: bricks.md 1.3, 1.6 to 1.8, 5.7, 5.8.
 */
export class Graph implements FaultSink, BrickLife {
  private readonly state: GraphState;
  private readonly builder: Builder;
  private readonly adaptors: Adaptors;
  private readonly switching: Switching;
  private readonly rewiring: Rewiring;
  readonly loop: Loop;
  /** All wires that end at `provider`. */
  readonly consumersOf: (provider: BrickBase) => Wire[];

  constructor(options: GraphOptions) {
    this.state = new GraphState(options);
    this.loop = options.loop;
    this.consumersOf = this.state.consumersOf;
    this.adaptors = new Adaptors(this.state, this);
    this.switching = new Switching(this.state, this.adaptors);
    this.builder = new Builder(this.state, this.switching);
    this.rewiring = new Rewiring(this.state, this.switching, this.adaptors, this);
  }

  get name(): string {
    return this.state.options.name;
  }

  onEvent(listener: (event: GraphEvent) => void): void {
    this.state.listeners.push(listener);
  }

  // ----------------------------------------------------------------------------------------------------------- bricks

  /**
   * Builds a brick; it is off and not wired.
   * @throws MarsError UNKNOWN_BRICK_TYPE, BAD_PARAMETER, BAD_BRICK_CLASS
   */
  add(name: string, type: string, params: Readonly<Record<string, unknown>> = {}): BrickBase {
    return this.builder.add(name, type, params);
  }

  /** Takes a brick out for good. It must be off, and nobody may be wired to it. @throws MarsError BRICK_BUSY */
  async destroy(name: string): Promise<void> {
    const below = this.builder.takeOut(this.get(name));
    for (const provider of below) await this.adaptors.dropUnused(provider);
  }

  /** @throws MarsError NO_SUCH_BRICK */
  get(name: string): BrickBase {
    return this.state.get(name);
  }

  has(name: string): boolean {
    return this.state.bricks.has(name);
  }

  names(): string[] {
    return [...this.state.bricks.keys()];
  }

  /** Adaptors that negotiation has put in; they are not part of what the stack file says. */
  isAdaptor(name: string): boolean {
    const brick = this.state.bricks.get(name);
    return brick !== undefined && this.state.adaptors.has(brick);
  }

  /** Bricks in switching order: providers before consumers. */
  providersFirst(): BrickBase[] {
    return this.state.providersFirst();
  }

  /** Sets a parameter that the type lists under `live`. @throws MarsError LIVE_PARAMETER, BAD_PARAMETER */
  setParam(name: string, param: string, value: unknown): void {
    setLiveParam(this.get(name), param, value);
  }

  // ------------------------------------------------------------------------------------------------------------ power

  /**
   * Button pressed. Providers must be on; missing capabilities are filled with adaptors.
   * @throws MarsError POWER_PROVIDER_OFF, MISSING_WIRE, PERMISSION_CONFLICT, CAPABILITY_GAP, START_FAILED …
   */
  press(name: string, options: { adapt?: AdaptMode } = {}): Promise<void> {
    return this.switching.press(this.get(name), options.adapt ?? 'auto');
  }

  /**
   * Button released; resolves when the led is off.
   * @throws MarsError POWER_CONSUMER_ON
   */
  release(name: string): Promise<void> {
    return this.switching.release(this.get(name));
  }

  /**
   * Calls `round()` of every brick that is pressed and on, providers first: what one of them finds out, those above it know
   * already when it is their turn. Call it once per round of whoever decides what should run. Source: bricks.md 5.2.
   */
  round(): void {
    this.switching.round();
  }

  /** Called by the core when code of a brick threw on the data path or in a callback: it is switched off for good. */
  brickThrew(brick: BrickBase, error: unknown): void {
    this.switching.brickThrew(brick, error);
  }

  // ------------------------------------------------------------------------------------------------------------ wires

  /** @throws MarsError NO_SUCH_BRICK, BAD_WIRE */
  wire(name: WireName): Wire {
    return this.state.wire(name);
  }

  /** What an input is wired to, as the stack file says it: adaptors in between are looked through. `null` = not wired. */
  providerOf(name: WireName): { brick: string; port: string } | null {
    const real = this.adaptors.realProvider(this.wire(name));
    return real === null ? null : { brick: real.brick.name, port: real.port };
  }

  /**
   * Wires an input that has no provider; also of a brick that is on, if the provider is on and fits.
   * @throws MarsError BAD_WIRE, WIRE_CYCLE, POWER_PROVIDER_OFF, PERMISSION_CONFLICT, CAPABILITY_GAP
   */
  connect(name: WireName, provider: string, port = 'out'): void {
    this.rewiring.connect(name, provider, port);
  }

  /** Cuts a wire after it has drained; an unconnected input is fine. @throws MarsError DRAIN_STUCK */
  disconnect(name: WireName): Promise<void> {
    return this.rewiring.disconnect(name);
  }

  /**
   * Gives an input another provider while requests are in flight: new ones wait at the gate, those under way come back
   * from the old provider first. Nothing is lost, doubled or overtaken. What is checked when a brick is switched on is
   * checked here too when it is on, and adaptors are inserted as they are needed.
   * @throws MarsError BAD_WIRE, WIRE_CYCLE, DRAIN_STUCK, POWER_PROVIDER_OFF, PERMISSION_CONFLICT, CAPABILITY_GAP,
   *   STACK_TOO_DEEP; then nothing has changed
   */
  swap(name: WireName, provider: string, port = 'out'): Promise<void> {
    return this.rewiring.swap(name, provider, port);
  }

  /** Builds a filter, switches it on and puts it on a wire, under load. On an error the wire is as before. */
  insert(name: WireName, filter: FilterSpec): Promise<void> {
    return this.rewiring.insert(name, filter);
  }

  /**
   * Takes a filter off all its wires, switches it off and removes it, under load. When one of several wires cannot be
   * drained, those before it stay changed and the filter stays on; call it again.
   */
  remove(filterName: string): Promise<void> {
    return this.rewiring.remove(filterName);
  }

  // ----------------------------------------------------------------------------------------------------------- status

  /** Requests that consumers have under way in this brick. */
  heldOf(brick: BrickBase): number {
    return this.state.heldOf(brick);
  }

  /** Consumers first. */
  status(): BrickStatus[] {
    return this.providersFirst()
      .reverse()
      .map((brick) => this.statusOf(brick));
  }

  statusOf(brick: BrickBase): BrickStatus {
    return statusOf(brick, this.heldOf(brick));
  }
}
