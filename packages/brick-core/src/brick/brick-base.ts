import { ErrorCode, MarsError, causeText } from '../errors.js';
import { InvariantError, invariant } from '../invariant.js';
import type { FaultOwner } from '../loop/fault.js';
import type { Batcher, Loop } from '../loop/loop.js';
import type { Logger } from '../machine/logger.js';
import type { Arena } from '../request/arena.js';
import type { ObjectOwner, XioPool } from '../request/pool.js';
import { XioObject, type Completer } from '../request/xio-object.js';
import type { Counter, Histogram, StatsRegistry } from '../stats/stats.js';
import type { XioInput, XioOutput } from './contract.js';
import { endAfterFault, type FaultSink } from './fault.js';
import type { ResolvedMeta } from './meta.js';
import { PowerSwitch } from './power.js';
import type { Wire } from './wire.js';

/** What the house gives a brick. */
export interface BrickContext {
  /** Name within its stack. */
  readonly name: string;
  /** `stack/name`: unique on this host. */
  readonly path: string;
  /** Index of this brick's aspect on every object. */
  readonly slot: number;
  /** Checked against the type's schema; durations are milliseconds, sizes bytes. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly params: Readonly<Record<string, any>>;
  readonly loop: Loop;
  readonly mem: Arena;
  readonly pool: XioPool;
  readonly log: Logger;
  counter(name: string): Counter;
  histogram(name: string): Histogram;
  /** The answer of `info` has changed: consumers are told, bottom-up. */
  infoChanged(): void;
  /** A fact `<brick>.<name>` for conditions, `mars-stack ctl` and the strategy. */
  publish(name: string, value: string | number | boolean): void;
}

/** What the graph gives a brick once, before anything else happens. */
export interface BrickParts {
  ctx: BrickContext;
  meta: ResolvedMeta;
  wires: ReadonlyMap<string, readonly Wire[]>;
  stats: StatsRegistry;
  faults: FaultSink;
}

/**
 * Base of every brick: power, ports, parameters, accounting.
 *
 * Life: `attached()` → [`start()` → requests and `round()`s → `draining()` → `stop()`]* → `detached()`. The hooks are cold path
 * and most of them may be asynchronous; `io` and `complete` are hot path and may not.
 * Source: bricks.md 1.6, 5.2, 5.8.
 */
export abstract class BrickBase implements Batcher, ObjectOwner, FaultOwner {
  readonly power = new PowerSwitch();
  /** Objects that this brick took from the pool and has not freed. */
  objects = 0;
  rank = 0;
  plugged = false;
  protected readonly ctx!: BrickContext;
  private readonly parts!: BrickParts;
  private readonly sideCompleters: Completer[] = [];
  protected switching: Promise<void> = Promise.resolve();

  /** Once per tick in which the brick called {@link plug}; consumers before providers. */
  endBatch?(events: number): void;

  /** Slot and parameters are known; nothing is wired yet. */
  protected attached(): void {}
  /**
   * Every connected provider is on. Resolve = led on. A failing start leaves nothing behind; so does one that ends early
   * because `signal` was aborted (the button was released meanwhile).
   */
  protected start(_signal: AbortSignal): void | Promise<void> {}
  /** The led fell: make no new requests of your own; what is under way comes back before `stop()`. */
  protected draining(): void | Promise<void> {}
  /** Nothing is in flight any more. Release everything; resolve = led off. */
  protected stop(): void | Promise<void> {}
  /**
   * A wire to this brick has drained and is about to lead past it: what was answered through it must be seen below from now
   * on. A write-back cache writes back here. When it fails, the wire stays as it is.
   */
  protected bypassed(): void | Promise<void> {}
  /**
   * Once per round of whoever decides what should run, while the brick is pressed and its led is on. For what is looked at
   * from time to time and tells nobody when it changes: the size of a device, free space. Keep it short; it may not wait.
   */
  protected round(): void {}
  /** The brick is taken out of the graph. */
  protected detached(): void {}
  /** A provider has a new `info`; `input.cached` holds it. */
  protected inputChanged(_input: XioInput): void {}
  /** A parameter listed under `live` has a new value; `ctx.params` holds it already. */
  protected liveParam(_name: string, _value: unknown): void {}
  /** May the wire in this slot of a group port be taken away? (The logger says no while the old log is needed.) */
  slotIdle(_port: string, _nr: number): boolean {
    return true;
  }

  /** The named input; `nr` counts the slots of a group. */
  protected input(name: string, nr = 0): XioInput {
    const wire = this.parts.wires.get(name)?.[nr];
    // The text is made only when it is needed: bricks call this per request.
    if (wire === undefined) invariant(false, `brick type ${this.parts.meta.type} has no input ${name}[${nr}]`);
    return wire;
  }

  /** The named output; a brick with several overrides this. */
  output(name: string): XioOutput {
    invariant(this.parts.meta.outputs.includes(name), `brick type ${this.parts.meta.type} has no output ${name}`);
    return this as unknown as XioOutput;
  }

  /**
   * Code of this brick threw where no wire could see it. Bricks MUST NOT throw (bricks.md 5.3 rule 11); one that does is
   * switched off for good, and the request that it was working on is answered ENOTRECOVERABLE. Helpers of a brick that
   * stand in a timer, in the ring or among the batches pass their faults on to this.
   */
  onFault(error: unknown, work: unknown = null): void {
    this.parts.faults.brickThrew(this, error);
    if (work instanceof XioObject) endAfterFault(this, work, this.ctx.loop);
  }

  /** Asks for one `endBatch` at the end of this tick. */
  protected plug(): void {
    if (!this.plugged) this.ctx.loop.plug(this);
  }

  /**
   * A second completion handler beside `complete()`, for requests of the brick's own; it counts for draining.
   * Call it in `attached()`, never per request.
   */
  protected completer(complete: (o: XioObject) => void): Completer {
    const inflight = (c: Completer): number => this.inflightOf(c);
    const side: Completer = {
      get inflight() {
        return inflight(this);
      },
      complete,
    };
    this.sideCompleters.push(side);
    return side;
  }

  /** Requests that will come back to this brick's `complete()`. */
  get inflight(): number {
    return this.inflightOf(this as unknown as Completer);
  }

  private inflightOf(c: Completer): number {
    let sum = 0;
    for (const slots of this.parts.wires.values()) for (const wire of slots) sum += wire.heldFor(c);
    return sum;
  }

  /** True while anything of this brick is under way. */
  get busy(): boolean {
    return this.inflight > 0 || this.objects > 0 || this.sideCompleters.some((side) => side.inflight > 0);
  }

  get name(): string {
    return this.parts.ctx.name;
  }

  get meta(): ResolvedMeta {
    return this.parts.meta;
  }

  /** All inputs, by port name and slot. For the graph and for reports. */
  get wires(): ReadonlyMap<string, readonly Wire[]> {
    return this.parts.wires;
  }

  get stats(): StatsRegistry {
    return this.parts.stats;
  }
}

/** The hooks as the core sees them: they are `protected` for everybody else. */
interface Hooks {
  ctx: BrickContext;
  parts: BrickParts;
  switching: Promise<void>;
  attached(): void;
  start(signal: AbortSignal): void | Promise<void>;
  draining(): void | Promise<void>;
  stop(): void | Promise<void>;
  bypassed(): void | Promise<void>;
  round(): void;
  detached(): void;
  inputChanged(input: XioInput): void;
  liveParam(name: string, value: unknown): void;
}

export function hooksOf(brick: BrickBase): Hooks {
  return brick as unknown as Hooks;
}

/** Gives a fresh brick its context. Called once, by the graph. */
export function attachBrick(brick: BrickBase, parts: BrickParts): void {
  const hooks = hooksOf(brick);
  invariant(hooks.parts === undefined, 'a brick was attached twice');
  hooks.parts = parts;
  hooks.ctx = parts.ctx;
  hooks.attached();
}

/**
 * Jobs that switch a brick run one after the other, in the order of the calls: so the last press or release wins, and
 * none of them sees a brick that is half switched.
 */
export function inTurn(brick: BrickBase, job: () => Promise<void>): Promise<void> {
  const hooks = hooksOf(brick);
  const result = hooks.switching.then(job);
  hooks.switching = result.catch(() => {});
  return result;
}

/**
 * Button pressed: led on when `start()` succeeded. Only inside {@link inTurn}.
 * @param signal aborted when the button is released meanwhile, also before it has come to the start
 * @throws MarsError START_FAILED, POWER_FORCED_OFF
 */
export async function pressBrick(brick: BrickBase, signal: AbortSignal): Promise<void> {
  const { power } = brick;
  const hooks = hooksOf(brick);
  if (power.forceOff)
    throw new MarsError(ErrorCode.POWER_FORCED_OFF, `brick "${brick.name}" was switched off for good`);
  if (power.led === 'on') return;
  power.button = true;
  power.set('switching');
  try {
    signal.throwIfAborted();
    await hooks.start(signal);
  } catch (cause) {
    power.button = false;
    // Led off means that nothing of the brick is under way, also after a start that gave up in the middle.
    await hooks.ctx.loop.whenQuiet(() => !brick.busy);
    power.set('off');
    throw new MarsError(
      ErrorCode.START_FAILED,
      `brick "${brick.name}" (${brick.meta.type}) could not start: ${causeText(cause)}`,
      {
        cause,
        hint: hintOf(cause) ?? 'See the reason above; the stack is switched on again when it is gone.',
      },
    );
  }
  power.set('on');
}

/**
 * Button released: led dark at once, led off when everything under way has come back and `stop()` is done. Only inside
 * {@link inTurn}.
 * @param held requests that consumers still have under way in this brick
 * @throws MarsError STOP_FAILED; the brick is off all the same
 */
export async function releaseBrick(brick: BrickBase, loop: Loop, held: () => number): Promise<void> {
  const { power } = brick;
  power.button = false;
  if (power.led === 'off') return;
  power.set('switching');
  const failures: unknown[] = [];
  await hookOf(failures, () => hooksOf(brick).draining());
  await loop.whenQuiet(() => held() === 0 && !brick.busy);
  await hookOf(failures, () => hooksOf(brick).stop());
  power.set('off');
  if (failures.length === 0) return;
  throw new MarsError(
    ErrorCode.STOP_FAILED,
    `brick "${brick.name}" (${brick.meta.type}) did not stop cleanly: ${causeText(failures[0])}`,
    {
      cause: failures[0],
      hint: hintOf(failures[0]) ?? 'It is off now; look at what it left behind before it is used again.',
    },
  );
}

/** A hook that fails must not keep the brick from going off. */
async function hookOf(failures: unknown[], hook: () => void | Promise<void>): Promise<void> {
  try {
    await hook();
  } catch (failure) {
    // Our own mistake: waiting for a brick that no longer keeps its own rules could take for ever.
    if (failure instanceof InvariantError) throw failure;
    failures.push(failure);
  }
}

function hintOf(error: unknown): string | undefined {
  return error instanceof MarsError ? error.hint : undefined;
}
