import { attachBrick, hooksOf, type BrickBase, type BrickContext } from '../brick/brick-base.js';
import { FilterBrick, bindNext } from '../brick/filter-brick.js';
import type { BrickClass, ResolvedMeta } from '../brick/meta.js';
import type { FaultSink } from '../brick/fault.js';
import { Wire } from '../brick/wire.js';
import { ErrorCode, MarsError, causeText } from '../errors.js';
import { CLOCK } from '../machine/clock.js';
import { checkParams, type ParamProblem } from '../params/schema.js';
import { StatsRegistry } from '../stats/stats.js';
import { BrickClock } from './brick-clock.js';
import type { GraphState } from './graph-state.js';
import { spreadInfo } from './offers.js';
import { slotsOf } from './slots.js';
import { allWires, firstWire } from './topology.js';

/** Beginning and end of a brick: constructed, given wires, slot and context; and taken apart again. */
export class Builder {
  constructor(
    private readonly state: GraphState,
    private readonly faults: FaultSink,
  ) {}

  /** @throws MarsError BAD_WIRE, UNKNOWN_BRICK_TYPE, BAD_PARAMETER, BAD_BRICK_CLASS */
  add(name: string, type: string, params: Readonly<Record<string, unknown>>): BrickBase {
    const { state } = this;
    if (state.bricks.has(name))
      throw new MarsError(ErrorCode.BAD_WIRE, `there are two bricks called "${name}"`, { hint: 'Rename one of them.' });
    const { meta, cls } = state.options.registry.get(type);
    const values = checked(name, type, meta.params, params);
    const brick = this.construct(cls, name, type);
    this.attach(brick, name, meta, values);
    const first = firstWire(brick);
    if (brick instanceof FilterBrick && first !== undefined) bindNext(brick, first);
    state.bricks.set(name, brick);
    state.rerank();
    return brick;
  }

  /**
   * Takes out a brick that is off and that nobody is wired to.
   * @returns the providers that it was wired to
   * @throws MarsError BRICK_BUSY
   */
  takeOut(brick: BrickBase): (BrickBase | null)[] {
    const { state } = this;
    this.checkUnused(brick);
    const below = allWires(brick).map((wire) => wire.provider);
    for (const wire of allWires(brick)) if (wire.connected) wire.disconnect();
    hooksOf(brick).detached();
    slotsOf(state.loop).give(hooksOf(brick).ctx.slot);
    state.bricks.delete(brick.name);
    state.rerank();
    state.adaptors.delete(brick);
    return below;
  }

  private checkUnused(brick: BrickBase): void {
    const wired = this.state.consumersOf(brick);
    if (brick.power.ledOff && wired.length === 0) return;
    const why = brick.power.ledOff ? `"${wired[0]!.consumer.name}" is wired to it` : 'it is not off';
    throw new MarsError(ErrorCode.BRICK_BUSY, `"${brick.name}" cannot be removed: ${why}`, {
      hint: 'Switch it off and unwire its consumers first.',
    });
  }

  private construct(cls: BrickClass, name: string, type: string): BrickBase {
    const { host, loop } = this.state.options;
    const clock = new BrickClock(loop);
    const services = host.createChildContainer().register(CLOCK, { useValue: clock });
    try {
      const brick = services.resolve(cls);
      clock.owner = brick;
      return brick;
    } catch (cause) {
      throw new MarsError(ErrorCode.BAD_BRICK_CLASS, `brick "${name}" (${type}) cannot be built: ${causeText(cause)}`, {
        cause,
        hint: 'Its constructor asks for something that this host does not offer; write @inject(TOKEN) on every parameter.',
      });
    }
  }

  private attach(brick: BrickBase, name: string, meta: ResolvedMeta, values: Record<string, unknown>): void {
    const slots = slotsOf(this.state.loop);
    const slot = slots.take();
    const stats = new StatsRegistry();
    try {
      const ctx = this.contextFor(brick, name, slot, values, stats);
      attachBrick(brick, { ctx, meta, wires: this.buildWires(brick, meta.inputs), stats, faults: this.faults });
    } catch (error) {
      slots.give(slot);
      throw error;
    }
  }

  private buildWires(brick: BrickBase, inputs: ResolvedMeta['inputs']): Map<string, Wire[]> {
    const wires = new Map<string, Wire[]>();
    for (const [port, meta] of Object.entries(inputs)) {
      const wireAt = (nr: number): Wire => new Wire(brick, port, nr, this.state.loop, this.faults);
      wires.set(
        port,
        Array.from({ length: meta.group ?? 1 }, (_, nr) => wireAt(nr)),
      );
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
    const { state } = this;
    const { loop } = state;
    return {
      name,
      path: `${state.options.name}/${name}`,
      slot,
      params: Object.freeze(params),
      loop,
      mem: loop.arena,
      pool: loop.pool,
      log: state.log.child({ brick: name }),
      counter: (counter) => stats.counter(counter),
      histogram: (histogram) => stats.histogram(histogram),
      infoChanged: () => spreadInfo(state, brick),
      publish: (fact, value) => {
        if (stats.publish(fact, value)) state.emit({ kind: 'fact', brick: name, name: fact, value });
      },
    };
  }
}

/** Gives a parameter that the type lists under `live` another value. @throws MarsError LIVE_PARAMETER, BAD_PARAMETER */
export function setLiveParam(brick: BrickBase, param: string, value: unknown): void {
  const { type, live, params } = brick.meta;
  if (!live.includes(param)) {
    throw new MarsError(ErrorCode.LIVE_PARAMETER, `"${param}" of ${type} cannot be changed while it runs`, {
      hint: live.length === 0 ? 'This type has no live parameters.' : `Live parameters: ${live.join(', ')}.`,
    });
  }
  const { ctx } = hooksOf(brick);
  const values = checked(brick.name, type, { ...params, required: [] }, { [param]: value });
  (ctx as { params: object }).params = Object.freeze({ ...ctx.params, [param]: values[param] });
  hooksOf(brick).liveParam(param, values[param]);
}

/** What the stack file says, as plain numbers and with defaults. */
function checked(
  name: string,
  type: string,
  schema: ResolvedMeta['params'],
  params: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const result = checkParams(schema, params);
  if (result.ok) return result.values;
  throw parameterError(name, type, result.problems[0]!);
}

function parameterError(name: string, type: string, problem: ParamProblem): MarsError {
  return new MarsError(ErrorCode.BAD_PARAMETER, `brick "${name}" (${type}): ${problem.message}`, {
    ...(problem.hint === undefined ? {} : { hint: problem.hint }),
    details: { brick: name, type, path: problem.path },
  });
}
