import type { DependencyContainer } from '../di.js';
import {
  attachBrick,
  cancelStart,
  hooksOf,
  inTurn,
  pressBrick,
  releaseBrick,
  type BrickBase,
  type BrickContext,
} from '../brick/brick-base.js';
import { FilterBrick, bindNext } from '../brick/filter-brick.js';
import type { Led } from '../brick/power.js';
import { Wire, type WireWatcher } from '../brick/wire.js';
import { errnoName } from '../errno.js';
import { ErrorCode, MarsError, causeText } from '../errors.js';
import { MAX_STACK_DEPTH } from '../limits.js';
import type { Loop } from '../loop/loop.js';
import { silentLogger, type Logger } from '../machine/logger.js';
import { checkParams, didYouMean } from '../params/schema.js';
import { XioInfo, capNames } from '../request/info.js';
import { StatsRegistry, type BrickStats } from '../stats/stats.js';
import { findGaps, type Gap } from './negotiate.js';
import { checkPermissions } from './permissions.js';
import type { BrickRegistry } from './registry.js';
import { slotsOf } from './slots.js';

export interface GraphOptions {
  /** Name of the stack; first part of every brick path. */
  name: string;
  loop: Loop;
  /** Container of the host: bricks resolve their services from a child of it. */
  host: DependencyContainer;
  registry: BrickRegistry;
  log?: Logger;
  /** How long a wire may take to drain before a change is given up, ms; 0 = for ever. */
  drainTimeoutMs?: number;
}

/** One input of one brick, as people write it: `logger.data`, `logger.log[1]`. */
export interface WireName {
  consumer: string;
  input: string;
  nr: number;
}

export type GraphEvent =
  | { kind: 'led'; brick: string; led: Led }
  | { kind: 'fact'; brick: string; name: string; value: string | number | boolean }
  | { kind: 'threw'; brick: string; message: string };

/** A brick as plain data. */
export interface BrickStatus {
  name: string;
  type: string;
  button: boolean;
  led: Led;
  forceOff: boolean;
  percent: number;
  /** Requests that consumers have under way in this brick. */
  held: number;
  /** Provider per input, `null` = not wired. */
  inputs: Record<string, string | null>;
  info: {
    sizeBytes: number;
    alignBytes: number;
    maxLenBytes: number;
    caps: string[];
    fua: number;
    zero: number;
    cache: number;
  } | null;
  stats: BrickStats;
}

/**
 * The bricks of one stack and their wires: builds, connects, switches and changes them under load.
 *
 * It enforces what must hold between bricks: no cycle, one provider per input, providers on before consumers and off
 * after them, no two writers, no gap between what is needed and what is offered. What *should* run is somebody else's
 * decision (package `stack`). Source: bricks.md 1.3, 1.6 to 1.8, 5.7, 5.8.
 */
export class Graph implements WireWatcher {
  private readonly bricks = new Map<string, BrickBase>();
  private readonly adaptors = new Set<BrickBase>();
  /** Whether a pressed brick may have adaptors. */
  private readonly adaptOf = new WeakMap<BrickBase, 'auto' | 'never'>();
  private changes: Promise<void> = Promise.resolve();
  private readonly listeners: ((event: GraphEvent) => void)[] = [];
  private readonly log: Logger;
  readonly loop: Loop;

  constructor(private readonly options: GraphOptions) {
    this.loop = options.loop;
    this.log = (options.log ?? silentLogger).child({ stack: options.name });
  }

  get name(): string {
    return this.options.name;
  }

  onEvent(listener: (event: GraphEvent) => void): void {
    this.listeners.push(listener);
  }

  /**
   * Builds a brick; it is off and not wired.
   * @throws MarsError UNKNOWN_BRICK_TYPE, BAD_PARAMETER, BAD_BRICK_CLASS
   */
  add(name: string, type: string, params: Readonly<Record<string, unknown>> = {}): BrickBase {
    if (this.bricks.has(name))
      throw new MarsError(ErrorCode.BAD_WIRE, `there are two bricks called "${name}"`, { hint: 'Rename one of them.' });
    const { meta, cls } = this.options.registry.get(type);
    const checked = checkParams(meta.params, params);
    if (!checked.ok) throw parameterError(name, type, checked.problems[0]!);
    const brick = this.construct(cls, name, type);
    const slot = slotsOf(this.loop).take();
    const stats = new StatsRegistry();
    const wires = this.buildWires(brick, meta.inputs);
    try {
      attachBrick(brick, { ctx: this.contextFor(brick, name, slot, checked.values, stats), meta, wires, stats });
    } catch (error) {
      slotsOf(this.loop).give(slot);
      throw error;
    }
    const firstWire = [...wires.values()][0]?.[0];
    if (brick instanceof FilterBrick && firstWire !== undefined) bindNext(brick, firstWire);
    this.bricks.set(name, brick);
    this.rerank();
    return brick;
  }

  /** @throws MarsError NO_SUCH_BRICK */
  get(name: string): BrickBase {
    const brick = this.bricks.get(name);
    if (brick !== undefined) return brick;
    throw new MarsError(ErrorCode.NO_SUCH_BRICK, `there is no brick "${name}" in stack "${this.name}"`, {
      hint: didYouMean(name, [...this.bricks.keys()]),
    });
  }

  has(name: string): boolean {
    return this.bricks.has(name);
  }

  names(): string[] {
    return [...this.bricks.keys()];
  }

  /** Adaptors that negotiation has put in; they are not part of what the stack file says. */
  isAdaptor(name: string): boolean {
    const brick = this.bricks.get(name);
    return brick !== undefined && this.adaptors.has(brick);
  }

  /** @throws MarsError BAD_WIRE */
  wire({ consumer, input, nr }: WireName): Wire {
    const brick = this.get(consumer);
    const wire = brick.wires.get(input)?.[nr];
    if (wire !== undefined) return wire;
    throw new MarsError(
      ErrorCode.BAD_WIRE,
      `brick "${consumer}" (${brick.meta.type}) has no input "${input}${nr ? `[${nr}]` : ''}"`,
      {
        hint: didYouMean(input, [...brick.wires.keys()]),
      },
    );
  }

  /** What an input is wired to, as the stack file says it: adaptors in between are looked through. `null` = not wired. */
  providerOf(name: WireName): { brick: string; port: string } | null {
    const real = this.realProvider(this.wire(name));
    return real === null ? null : { brick: real.brick.name, port: real.port };
  }

  /**
   * Wires an input that has no provider; also of a brick that is on, if the provider is on and fits.
   * @throws MarsError BAD_WIRE, WIRE_CYCLE, POWER_PROVIDER_OFF, PERMISSION_CONFLICT, CAPABILITY_GAP
   */
  connect(name: WireName, provider: string, port = 'out'): void {
    const wire = this.wire(name);
    if (wire.connected) {
      throw new MarsError(ErrorCode.BAD_WIRE, `${wireText(wire)} has a provider already ("${wire.provider!.name}")`, {
        hint: 'An input has one provider; disconnect it first, or use a brick with several inputs.',
      });
    }
    this.attachWire(wire, this.get(provider), port);
    if (!wire.consumer.power.button) return;
    try {
      this.checkLive(wire);
      this.checkGaps(wire, 'never');
    } catch (error) {
      wire.disconnect();
      this.rerank();
      throw error;
    }
    this.tellConsumer(wire);
  }

  /** Cuts a wire after it has drained; an unconnected input is fine. */
  disconnect(name: WireName): Promise<void> {
    return this.inOrder(async () => {
      const wire = this.wire(name);
      if (!wire.connected) return;
      await this.drain(wire);
      const before = wire.provider;
      wire.disconnect();
      wire.ungate();
      this.rerank();
      await this.dropUnusedAdaptor(before);
    });
  }

  /**
   * Gives an input another provider while requests are in flight: new ones wait at the gate, those under way come back
   * from the old provider first. Nothing is lost, doubled or overtaken. What is checked when a brick is switched on is
   * checked here too when it is on, and adaptors are inserted as they are needed.
   * @throws MarsError BAD_WIRE, WIRE_CYCLE, DRAIN_STUCK, POWER_PROVIDER_OFF, PERMISSION_CONFLICT, CAPABILITY_GAP,
   *   STACK_TOO_DEEP; then nothing has changed
   */
  swap(name: WireName, provider: string, port = 'out'): Promise<void> {
    return this.inOrder(() => this.swapNow(name, provider, port));
  }

  /** Builds a filter, switches it on and puts it on a wire, under load. On an error the wire is as before. */
  insert(name: WireName, filter: { name: string; type: string; params?: Record<string, unknown> }): Promise<void> {
    return this.inOrder(() => this.insertNow(name, filter));
  }

  /**
   * Takes a filter off all its wires, switches it off and removes it, under load. When one of several wires cannot be
   * drained, those before it stay changed and the filter stays on; call it again.
   */
  remove(filterName: string): Promise<void> {
    return this.inOrder(() => this.removeNow(filterName));
  }

  private async swapNow(name: WireName, provider: string, port: string): Promise<void> {
    const wire = this.wire(name);
    await this.drain(wire);
    const before = wire.provider;
    const portBefore = wire.providerPort;
    try {
      // When `before` still lies below the new provider (a filter was put above it), nothing leads past it.
      if (before?.power.ledOn && !pathBetween(this.get(provider), before)) await hooksOf(before).bypassed();
      this.attachWire(wire, this.get(provider), port);
      try {
        await this.makeFit(wire);
      } catch (error) {
        await this.putBack(wire, before, portBefore);
        throw error;
      }
    } finally {
      // Before the gate opens: whoever derives something from `cached` must know it before the first request.
      this.tellConsumer(wire);
      wire.ungate();
    }
    await this.dropUnusedAdaptor(before);
  }

  /** A wire of a brick that is on has a new provider: the same checks as when it was pressed. */
  private async makeFit(wire: Wire): Promise<void> {
    const { consumer } = wire;
    if (!consumer.power.button) return;
    this.checkLive(wire);
    await this.negotiate(wire, this.adaptOf.get(consumer) ?? 'auto');
    this.checkGapsAbove(consumer);
  }

  private async putBack(wire: Wire, before: BrickBase | null, port: string): Promise<void> {
    const made = wire.provider;
    if (before === null) wire.disconnect();
    else wire.connect(before, port, before.output(port));
    this.rerank();
    if (made !== before) await this.dropUnusedAdaptor(made);
  }

  private async insertNow(
    name: WireName,
    filter: { name: string; type: string; params?: Record<string, unknown> },
  ): Promise<void> {
    const wire = this.wire(name);
    const below = wire.provider;
    if (below === null)
      throw new MarsError(ErrorCode.BAD_WIRE, `${wireText(wire)} has no provider`, {
        hint: 'A filter goes between two bricks.',
      });
    const brick = this.add(filter.name, filter.type, filter.params);
    try {
      if (!(brick instanceof FilterBrick)) {
        throw new MarsError(ErrorCode.BAD_WIRE, `brick type "${filter.type}" is no filter`, {
          hint: 'Only a brick with one input and one output fits on a wire.',
        });
      }
      this.attachWire([...brick.wires.values()][0]![0]!, below, wire.providerPort);
      if (below.power.ledOn) await this.press(filter.name);
      await this.swapNow(name, filter.name, 'out');
    } catch (error) {
      await this.discard(brick);
      throw error;
    }
  }

  private async removeNow(filterName: string): Promise<void> {
    const brick = this.get(filterName);
    const below = brick instanceof FilterBrick ? [...brick.wires.values()][0]![0]! : undefined;
    if (below?.provider == null)
      throw new MarsError(ErrorCode.BAD_WIRE, `"${filterName}" is no filter on a wire`, {
        hint: 'Only filters can be taken out.',
      });
    for (const wire of this.consumersOf(brick))
      await this.swapNow(nameOfWire(wire), below.provider.name, below.providerPort);
    await this.release(filterName);
    await this.destroy(filterName);
  }

  /**
   * Button pressed. Providers must be on; missing capabilities are filled with adaptors.
   * @throws MarsError POWER_PROVIDER_OFF, MISSING_WIRE, PERMISSION_CONFLICT, CAPABILITY_GAP, START_FAILED …
   */
  press(name: string, options: { adapt?: 'auto' | 'never' } = {}): Promise<void> {
    const brick = this.get(name);
    return inTurn(brick, () => this.pressNow(brick, options.adapt ?? 'auto'));
  }

  /**
   * Button released; resolves when the led is off.
   * @throws MarsError POWER_CONSUMER_ON
   */
  release(name: string): Promise<void> {
    const brick = this.get(name);
    cancelStart(brick);
    return inTurn(brick, () => this.releaseNow(brick));
  }

  /** Takes a brick out for good. It must be off, and nobody may be wired to it. */
  async destroy(name: string): Promise<void> {
    const brick = this.get(name);
    const wired = this.consumersOf(brick);
    if (!brick.power.ledOff || wired.length > 0) {
      const why = brick.power.ledOff ? `"${wired[0]!.consumer.name}" is wired to it` : 'it is not off';
      throw new MarsError(ErrorCode.BRICK_BUSY, `"${name}" cannot be removed: ${why}`, {
        hint: 'Switch it off and unwire its consumers first.',
      });
    }
    const below = allWires(brick).map((wire) => wire.provider);
    for (const wire of allWires(brick)) if (wire.connected) wire.disconnect();
    hooksOf(brick).detached();
    slotsOf(this.loop).give(hooksOf(brick).ctx.slot);
    this.bricks.delete(name);
    this.rerank();
    this.adaptors.delete(brick);
    for (const provider of below) await this.dropUnusedAdaptor(provider);
  }

  /** All wires that end at `provider`. */
  readonly consumersOf = (provider: BrickBase): Wire[] => {
    const found: Wire[] = [];
    for (const brick of this.bricks.values())
      for (const wire of allWires(brick)) if (wire.provider === provider) found.push(wire);
    return found;
  };

  /** Bricks in switching order: providers before consumers. */
  providersFirst(): BrickBase[] {
    return [...this.bricks.values()].sort((a, b) => b.rank - a.rank);
  }

  /** Requests that consumers have under way in this brick. */
  heldOf(brick: BrickBase): number {
    return this.consumersOf(brick).reduce((sum, wire) => sum + wire.held, 0);
  }

  /** Sets a parameter that the type lists under `live`. @throws MarsError LIVE_PARAMETER, BAD_PARAMETER */
  setParam(name: string, param: string, value: unknown): void {
    const brick = this.get(name);
    if (!brick.meta.live.includes(param)) {
      throw new MarsError(
        ErrorCode.LIVE_PARAMETER,
        `"${param}" of ${brick.meta.type} cannot be changed while it runs`,
        {
          hint:
            brick.meta.live.length === 0
              ? 'This type has no live parameters.'
              : `Live parameters: ${brick.meta.live.join(', ')}.`,
        },
      );
    }
    const ctx = hooksOf(brick).ctx;
    const checked = checkParams({ ...brick.meta.params, required: [] }, { [param]: value });
    if (!checked.ok) throw parameterError(name, brick.meta.type, checked.problems[0]!);
    (ctx as { params: object }).params = Object.freeze({ ...ctx.params, [param]: checked.values[param] });
    hooksOf(brick).liveParam(param, checked.values[param]);
  }

  status(): BrickStatus[] {
    return this.providersFirst()
      .reverse()
      .map((brick) => this.statusOf(brick));
  }

  statusOf(brick: BrickBase): BrickStatus {
    const { power, meta } = brick;
    const inputs = allWires(brick).map((wire) => [
      wire.nr > 0 ? `${wire.name}[${wire.nr}]` : wire.name,
      wire.provider?.name ?? null,
    ]);
    return {
      name: brick.name,
      type: meta.type,
      button: power.button,
      led: power.led,
      forceOff: power.forceOff,
      percent: power.percent,
      held: this.heldOf(brick),
      inputs: Object.fromEntries(inputs) as Record<string, string | null>,
      info: this.infoOf(brick),
      stats: brick.stats.snapshot(),
    };
  }

  brickThrew(brick: BrickBase, error: unknown): void {
    // Requests that are still under way in it may make it throw again; once is enough to say it.
    if (brick.power.forceOff) return;
    this.log.error(
      { brick: brick.name, type: brick.meta.type, err: error },
      'a brick threw on the data path; it is switched off',
    );
    this.emit({ kind: 'threw', brick: brick.name, message: causeText(error) });
    brick.power.forceOff = true;
    brick.power.set('switching');
    // The led falls at once, so every further request is answered ESHUTDOWN; what is under way may still come back.
    void inTurn(brick, () => this.switchOff(brick)).catch((cause: unknown) =>
      this.log.error({ brick: brick.name, err: cause }, 'switching off a faulty brick failed'),
    );
  }

  private async pressNow(brick: BrickBase, adapt: 'auto' | 'never'): Promise<void> {
    if (brick.power.led === 'on') return;
    const wires = allWires(brick);
    for (const wire of wires) this.checkProvider(wire);
    const connected = wires.filter((wire) => wire.connected);
    checkPermissions(brick, connected, this.consumersOf);
    this.checkDepth(brick);
    // From here on the others see that this brick claims its permissions, and its providers stay on.
    brick.power.button = true;
    this.adaptOf.set(brick, adapt);
    try {
      for (const wire of connected) await this.negotiate(wire, adapt);
      await this.switched(brick, () => pressBrick(brick));
    } catch (error) {
      brick.power.button = false;
      await this.dropAdaptorsOf(brick);
      throw error;
    }
    this.spreadInfo(brick);
  }

  private async releaseNow(brick: BrickBase): Promise<void> {
    const isInUse = ({ consumer: { power } }: Wire): boolean => power.button || !power.ledOff;
    const consumer = this.consumersOf(brick).find(isInUse);
    if (consumer !== undefined) {
      throw new MarsError(
        ErrorCode.POWER_CONSUMER_ON,
        `"${brick.name}" serves "${consumer.consumer.name}", which is on`,
        {
          hint: `Switch "${consumer.consumer.name}" off first.`,
        },
      );
    }
    await this.switchOff(brick);
  }

  private async switchOff(brick: BrickBase): Promise<void> {
    try {
      await this.switched(brick, () => releaseBrick(brick, this.loop, () => this.heldOf(brick)));
    } finally {
      await this.dropAdaptorsOf(brick);
    }
  }

  /** Changes of wires run one after the other, so each of them may rely on what it has seen. */
  private inOrder<T>(change: () => Promise<T>): Promise<T> {
    const result = this.changes.then(change);
    this.changes = result.then(
      () => {},
      () => {},
    );
    return result;
  }

  private construct(cls: new (...args: never[]) => BrickBase, name: string, type: string): BrickBase {
    try {
      return this.options.host.createChildContainer().resolve(cls as never);
    } catch (cause) {
      throw new MarsError(ErrorCode.BAD_BRICK_CLASS, `brick "${name}" (${type}) cannot be built: ${causeText(cause)}`, {
        cause,
        hint: 'Its constructor asks for something that this host does not offer; write @inject(TOKEN) on every parameter.',
      });
    }
  }

  private buildWires(brick: BrickBase, inputs: BrickBase['meta']['inputs']): Map<string, Wire[]> {
    const wires = new Map<string, Wire[]>();
    for (const [port, meta] of Object.entries(inputs)) {
      const slots = Array.from({ length: meta.group ?? 1 }, (_, nr) => new Wire(brick, port, nr, this.loop, this));
      wires.set(port, slots);
    }
    return wires;
  }

  private contextFor(
    brick: BrickBase,
    name: string,
    slot: number,
    params: Record<string, unknown>,
    stats: StatsRegistry,
  ): BrickContext {
    return {
      name,
      path: `${this.name}/${name}`,
      slot,
      params: Object.freeze(params),
      loop: this.loop,
      mem: this.loop.arena,
      pool: this.loop.pool,
      log: this.log.child({ brick: name }),
      counter: (counter) => stats.counter(counter),
      histogram: (histogram) => stats.histogram(histogram),
      infoChanged: () => this.spreadInfo(brick),
      publish: (fact, value) => {
        if (stats.publish(fact, value)) this.emit({ kind: 'fact', brick: name, name: fact, value });
      },
    };
  }

  private attachWire(wire: Wire, provider: BrickBase, port: string): void {
    if (!provider.meta.outputs.includes(port)) {
      throw new MarsError(
        ErrorCode.BAD_WIRE,
        `brick "${provider.name}" (${provider.meta.type}) has no output "${port}"`,
        {
          hint:
            provider.meta.outputs.length === 0
              ? 'It is the top of a stack and serves nobody.'
              : didYouMean(port, provider.meta.outputs),
        },
      );
    }
    const loop = pathBetween(provider, wire.consumer);
    if (loop !== undefined) {
      const names = [wire.consumer.name, ...loop.map((b) => b.name)];
      throw new MarsError(ErrorCode.WIRE_CYCLE, `the wires form a cycle: ${names.join(' → ')}`, {
        hint: 'Requests must come to an end: take one of these wires away.',
      });
    }
    wire.connect(provider, port, provider.output(port));
    this.rerank();
  }

  private async drain(wire: Wire): Promise<void> {
    wire.gate();
    if (wire.held === 0) return;
    const limitMs = this.options.drainTimeoutMs ?? 0;
    let isLate = false;
    if (limitMs > 0)
      this.loop.after(limitMs, undefined, () => {
        isLate = true;
      });
    await this.loop.whenQuiet(() => wire.held === 0 || isLate);
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

  private checkProvider(wire: Wire): void {
    if (!wire.connected) {
      if (wire.consumer.meta.inputs[wire.name]!.optional || wire.nr > 0) return;
      throw new MarsError(ErrorCode.MISSING_WIRE, `${wireText(wire)} has no provider`, {
        hint: 'Name one under "in:".',
      });
    }
    const { provider } = wire;
    if (provider!.power.button && provider!.power.ledOn) return;
    throw new MarsError(
      ErrorCode.POWER_PROVIDER_OFF,
      `"${wire.consumer.name}" cannot be switched on: its provider "${provider!.name}" is off`,
      {
        hint: `Switch "${provider!.name}" on first.`,
      },
    );
  }

  private checkDepth(brick: BrickBase): void {
    // Each wire on the way down adds one step to the way back.
    const steps = brick.rank + depthBelow(brick);
    if (steps <= MAX_STACK_DEPTH) return;
    throw new MarsError(
      ErrorCode.STACK_TOO_DEEP,
      `requests through "${brick.name}" pass ${steps} wires, ${MAX_STACK_DEPTH} are possible`,
      { hint: 'Use fewer filters above each other.' },
    );
  }

  /** A wire of a brick that is on: what would have been refused when it was pressed is refused now. */
  private checkLive(wire: Wire): void {
    this.checkProvider(wire);
    checkPermissions(wire.consumer, [wire], this.consumersOf);
    this.checkDepth(wire.consumer);
  }

  private async negotiate(wire: Wire, adapt: 'auto' | 'never'): Promise<void> {
    this.checkInfo(wire);
    const needs = wire.consumer.meta.inputs[wire.name]!.needs;
    const tried = new Set<string>();
    const helps = (gap: Gap): boolean =>
      gap.adaptor !== undefined &&
      !tried.has(gap.adaptor.type) &&
      this.options.registry.find(gap.adaptor.type) !== undefined;
    while (adapt === 'auto') {
      // Asked again after every adaptor: it may close one gap and open another.
      const gap = findGaps(needs, wire.cached).find(helps);
      if (gap === undefined) break;
      tried.add(gap.adaptor!.type);
      await this.adapt(wire, gap.adaptor!.type, gap.adaptor!.params);
    }
    this.checkGaps(wire, adapt);
  }

  private checkInfo(wire: Wire): void {
    const err = wire.refresh();
    if (err >= 0) return;
    throw new MarsError(
      ErrorCode.CAPABILITY_GAP,
      `"${wire.provider!.name}" cannot tell "${wire.consumer.name}" what it offers (${errnoName(err)})`,
      { hint: `Look at "${wire.provider!.name}" and what lies below it.` },
    );
  }

  private checkGaps(wire: Wire, adapt: 'auto' | 'never'): void {
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

  /** A filter has a new provider: those above who are on must still get what they need. */
  private checkGapsAbove(brick: BrickBase): void {
    if (!(brick instanceof FilterBrick)) return;
    for (const wire of this.consumersOf(brick)) {
      wire.refresh();
      if (wire.consumer.power.button) this.checkGaps(wire, 'auto');
      this.checkGapsAbove(wire.consumer);
    }
  }

  private async adapt(wire: Wire, type: string, params: Record<string, unknown>): Promise<void> {
    const below = wire.provider!;
    const brick = this.add(this.adaptorName(wire, type), type, params);
    this.adaptors.add(brick);
    try {
      this.attachWire([...brick.wires.values()][0]![0]!, below, wire.providerPort);
      await this.press(brick.name);
    } catch (error) {
      await this.discard(brick);
      throw error;
    }
    // Somebody else has rewired it meanwhile: what was needed here may not be needed there.
    if (wire.provider !== below) return this.discard(brick);
    wire.connect(brick, 'out', brick.output('out'));
    this.rerank();
    this.log.info({ wire: wireText(wire), adaptor: type }, 'adaptor inserted');
  }

  private adaptorName(wire: Wire, type: string): string {
    const base = `${wire.consumer.name}.${wire.name}${wire.nr || ''}~${type}`;
    let name = base;
    for (let n = 2; this.bricks.has(name); n++) name = `${base}-${n}`;
    return name;
  }

  /** Adaptors live as long as the brick that needs them is on: the next press may need others. */
  private async dropAdaptorsOf(brick: BrickBase): Promise<void> {
    for (const wire of allWires(brick)) {
      const adaptor = wire.provider;
      const real = this.realProvider(wire);
      if (adaptor === null || real === null || real.brick === adaptor) continue;
      await this.loop.whenQuiet(() => wire.held === 0);
      if (wire.provider !== adaptor) continue;
      wire.connect(real.brick, real.port, real.brick.output(real.port));
      this.rerank();
      await this.dropUnusedAdaptor(adaptor);
    }
  }

  private realProvider(wire: Wire): { brick: BrickBase; port: string } | null {
    let at = wire;
    while (at.provider !== null && this.adaptors.has(at.provider)) at = [...at.provider.wires.values()][0]![0]!;
    return at.provider === null ? null : { brick: at.provider, port: at.providerPort };
  }

  private async dropUnusedAdaptor(provider: BrickBase | null): Promise<void> {
    if (provider === null || !this.adaptors.has(provider) || this.consumersOf(provider).length > 0) return;
    await this.release(provider.name);
    // Two roads may lead here; the second one finds it gone, or in use again.
    if (this.bricks.get(provider.name) !== provider || this.consumersOf(provider).length > 0) return;
    await this.destroy(provider.name);
  }

  private async discard(brick: BrickBase): Promise<void> {
    if (!brick.power.ledOff) await this.release(brick.name);
    if (this.consumersOf(brick).length === 0) await this.destroy(brick.name);
  }

  private async switched(brick: BrickBase, job: () => Promise<void>): Promise<void> {
    const done = job();
    try {
      await done;
    } finally {
      this.emit({ kind: 'led', brick: brick.name, led: brick.power.led });
    }
  }

  private tellConsumer(wire: Wire): void {
    hooksOf(wire.consumer).inputChanged(wire);
    this.spreadInfo(wire.consumer);
  }

  /** Consumers read `cached`: it must be fresh after every change below, all the way up. */
  private spreadInfo(brick: BrickBase): void {
    for (const wire of this.consumersOf(brick)) {
      wire.refresh();
      hooksOf(wire.consumer).inputChanged(wire);
      if (wire.consumer instanceof FilterBrick) this.spreadInfo(wire.consumer);
    }
  }

  private infoOf(brick: BrickBase): BrickStatus['info'] {
    if (!brick.power.ledOn || brick.meta.outputs.length === 0) return null;
    const info = new XioInfo();
    if (brick.output(brick.meta.outputs[0]!).info(info) < 0) return null;
    return {
      sizeBytes: info.size,
      alignBytes: info.align,
      maxLenBytes: info.maxLen,
      caps: capNames(info.caps),
      fua: info.fua,
      zero: info.zero,
      cache: info.cache,
    };
  }

  private rerank(): void {
    const depth = new Map<BrickBase, number>();
    const visit = (brick: BrickBase): number => {
      let rank = depth.get(brick);
      if (rank === undefined) {
        rank = Math.max(-1, ...this.consumersOf(brick).map((wire) => visit(wire.consumer))) + 1;
        depth.set(brick, rank);
      }
      return rank;
    };
    for (const brick of this.bricks.values()) brick.rank = visit(brick);
  }

  private emit(event: GraphEvent): void {
    for (const listener of this.listeners) listener(event);
  }
}

export function allWires(brick: BrickBase): Wire[] {
  return [...brick.wires.values()].flat();
}

export function wireText(wire: Wire): string {
  return `${wire.consumer.name}.${wire.name}${wire.nr > 0 ? `[${wire.nr}]` : ''}`;
}

function nameOfWire(wire: Wire): WireName {
  return { consumer: wire.consumer.name, input: wire.name, nr: wire.nr };
}

/** The bricks from `from` down to `to`, if `to` lies below (or is) `from`. */
function pathBetween(from: BrickBase, to: BrickBase): BrickBase[] | undefined {
  if (from === to) return [from];
  for (const wire of allWires(from)) {
    const rest = wire.provider === null ? undefined : pathBetween(wire.provider, to);
    if (rest !== undefined) return [from, ...rest];
  }
  return undefined;
}

function depthBelow(brick: BrickBase): number {
  return Math.max(0, ...allWires(brick).map((wire) => (wire.provider === null ? 0 : 1 + depthBelow(wire.provider))));
}

function parameterError(
  name: string,
  type: string,
  problem: { path: readonly (string | number)[]; message: string; hint?: string },
): MarsError {
  return new MarsError(ErrorCode.BAD_PARAMETER, `brick "${name}" (${type}): ${problem.message}`, {
    ...(problem.hint === undefined ? {} : { hint: problem.hint }),
    details: { brick: name, type, path: problem.path },
  });
}
