import { invariant, setCrashHook, type SeededRandom } from '@mars/brick-core';
import { DEFAULT_MAX_EVENTS } from '../limits.js';
import { SimNetwork } from '../net/network.js';
import { randomFor } from '../random.js';
import { SimHost, type HostOptions } from './host.js';
import { isHostCrash, type CrashKind, type Life } from './life.js';
import { EventQueue, type WorldEvent } from './queue.js';
import { stuckReport } from './stuck.js';
import { Trace } from './trace.js';
import { Turns, takeOverRejections } from './turns.js';

export interface WorldOptions {
  /** An integer from 0 to 2^53. Same seed, same program: same run, same trace hash. */
  seed: number;
  /** Keep every event as a line in `world.trace.lines`. */
  trace?: boolean;
}

export interface RunOptions {
  /** Asked after every event; without it the world runs until nothing is left to happen. */
  until?: () => boolean;
  /** Then the world counts as stuck. Default `DEFAULT_MAX_EVENTS`. */
  maxEvents?: number;
  /** Then the world counts as stuck, counted from the start of this run; default: no limit. */
  maxVirtualMs?: number;
}

export interface RunResult {
  events: number;
  virtualMs: number;
}

export interface CrashOrder {
  host: string;
  /** Name given to `crashPoint()`. */
  point: string;
  /** The how manieth time, from 1. */
  hit?: number;
  kind?: CrashKind;
}

let running: World | null = null;

/**
 * Any number of hosts on one seeded machine: one event at a time, then every promise callback, then the next event.
 *
 * ```
 *        ┌──────────────── one queue: (virtual ns, number) ────────────────┐
 *        │  tick a   disk a   segment a→b   timer b   watch b   crash a ...│
 *        └────────┬────────────────────────────────────────────────────────┘
 *                 │ pop, set the clock, hash into the trace
 *                 ▼
 *          event.run() ──> promise callbacks until none is left ──> until()? ──> next
 * ```
 * Time stands still outside {@link run}. Nothing here reads a real clock, disk, network or random source.
 * Source: architecture.md 11.
 */
export class World {
  readonly seed: number;
  readonly trace: Trace;
  /** For the scenario itself; hosts, disks and links have generators of their own. */
  readonly random: SeededRandom;
  readonly net: SimNetwork;
  /** Virtual nanoseconds since the world began; whole. */
  nowNs = 0;
  private readonly queue = new EventQueue();
  private readonly turns = new Turns();
  private readonly hosts_ = new Map<string, SimHost>();
  private readonly crashOrders: { order: Required<CrashOrder>; left: number }[] = [];
  private readonly pointHits = new Map<string, number>();
  private current: Life | null = null;
  private failure: { error: unknown } | null = null;

  constructor(options: WorldOptions) {
    invariant(Number.isSafeInteger(options.seed) && options.seed >= 0, 'a seed is an integer from 0 to 2^53');
    this.seed = options.seed;
    this.trace = new Trace(options.trace ?? false);
    this.random = this.randomFor('scenario');
    this.net = new SimNetwork(this);
  }

  /** A generator for a part of this world; see {@link randomFor}. */
  randomFor(name: string): SeededRandom {
    return randomFor(this.seed, name);
  }

  /** Adds a host and starts it at once. Names must differ. */
  addHost(name: string, options: HostOptions = {}): SimHost {
    invariant(!this.hosts_.has(name), `there are two hosts called "${name}"`);
    const host = new SimHost(this, name, this.hosts_.size, options);
    this.hosts_.set(name, host);
    host.start();
    return host;
  }

  host(name: string): SimHost {
    const host = this.hosts_.get(name);
    invariant(host !== undefined, `there is no host called "${name}"`);
    return host;
  }

  get hosts(): readonly SimHost[] {
    return [...this.hosts_.values()];
  }

  get nowMs(): number {
    return this.nowNs / 1e6;
  }

  /** 16 hexadecimal digits over everything that has happened so far. */
  get traceHash(): string {
    return this.trace.hash;
  }

  /** Puts an event into the queue; it does not happen when `life` is over by then. To cancel it, set its `run` to null. */
  schedule(atNs: number, kind: string, life: Life | null, run: () => void): WorldEvent {
    invariant(atNs >= this.nowNs, 'an event was scheduled in the past');
    return this.queue.add(atNs, kind, life, run);
  }

  /** For scenarios: calls `run` after so many virtual milliseconds. */
  after(ms: number, run: () => void): WorldEvent {
    return this.schedule(this.nowNs + Math.round(ms * 1e6), 'world', null, run);
  }

  /**
   * Lets time go on until `until` holds (or, without it, until nothing is left to happen).
   * @throws MarsError SIM_STUCK when nothing is left but `until` does not hold, or a limit is reached
   * @throws whatever a host threw and nobody caught
   */
  run(options: RunOptions = {}): Promise<RunResult> {
    claim(this);
    const release = this.takeOver();
    const start = { events: this.trace.events, atNs: this.nowNs };
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        // Rejections that nobody handles are reported late; the listeners must not be put back before.
        this.turns.afterEverything(() => {
          release();
          const failure = this.failure;
          this.failure = null;
          if (failure !== null) reject(asError(failure.error));
          else resolve({ events: this.trace.events - start.events, virtualMs: (this.nowNs - start.atNs) / 1e6 });
        });
      };
      const turn = (): void => {
        if (this.step(options, start)) this.turns.afterPromises(turn);
        else stop();
      };
      this.turns.afterPromises(turn);
    });
  }

  /** Runs the world until the promise settles, and hands on what it settles with. */
  async drive<T>(promise: Promise<T>, limits: Omit<RunOptions, 'until'> = {}): Promise<T> {
    let isSettled = false;
    const settled = (): void => {
      isSettled = true;
    };
    promise.then(settled, settled);
    await this.run({ ...limits, until: () => isSettled });
    return promise;
  }

  /** Lets so much virtual time pass, whatever happens in it. */
  async advance(ms: number): Promise<void> {
    let isOver = false;
    this.after(ms, () => {
      isOver = true;
    });
    await this.run({ until: () => isOver });
  }

  /**
   * Kills a host when its code reaches a crash point. The host may not exist yet.
   * @returns takes the order back
   */
  crashAt({ host, point, hit = 1, kind = 'power' }: CrashOrder): () => void {
    invariant(hit >= 1, 'crash points count from 1');
    const armed = { order: { host, point, hit, kind }, left: hit };
    this.crashOrders.push(armed);
    return () => {
      armed.left = Infinity;
    };
  }

  /** How often the code of a host has passed a crash point: shows which ones a scenario reaches at all. */
  hitsOf(host: string, point: string): number {
    return this.pointHits.get(`${host} ${point}`) ?? 0;
  }

  /** The scenario goes wrong from outside an event: the current run ends with this error. */
  fail(error: unknown): void {
    this.failure ??= { error };
  }

  /** Events that will still happen, for reports. */
  pending(): WorldEvent[] {
    return this.queue.pending();
  }

  /** Forgets everything, so that thousands of worlds can live after each other in one process. */
  close(): void {
    for (const host of this.hosts_.values()) host.life.end('process');
    this.queue.clear();
  }

  /** @returns false when this run is over */
  private step(options: RunOptions, start: { events: number; atNs: number }): boolean {
    try {
      if (this.failure !== null || options.until?.()) return false;
      const event = this.queue.peek();
      if (event === undefined) {
        if (options.until) throw stuckReport(this, 'nothing is left to happen');
        return false;
      }
      const limit = limitReached(options, this.trace.events - start.events, event.atNs - start.atNs);
      if (limit !== null) throw stuckReport(this, limit);
      this.queue.pop();
      this.play(event);
      return true;
    } catch (error) {
      this.fail(error);
      return false;
    }
  }

  private play(event: WorldEvent): void {
    this.nowNs = event.atNs;
    this.current = event.life;
    this.trace.event(event.atNs, event.life?.hostIndex ?? -1, event.kind);
    try {
      event.run!();
    } catch (error) {
      if (!isHostCrash(error)) throw error;
    }
  }

  private takeOver(): () => void {
    const hookBefore = setCrashHook((name) => this.reached(name));
    const giveBack = takeOverRejections((reason) => {
      if (!isHostCrash(reason)) this.fail(reason);
    });
    return () => {
      setCrashHook(hookBefore);
      giveBack();
      running = null;
      this.current = null;
    };
  }

  /** Production code has come to a crash point; the host is the one whose event runs, or ran last. */
  private reached(point: string): void {
    const life = this.current;
    if (life === null) return;
    life.check();
    const key = `${life.host} ${point}`;
    this.pointHits.set(key, (this.pointHits.get(key) ?? 0) + 1);
    for (const armed of this.crashOrders) {
      const { order } = armed;
      if (order.host !== life.host || order.point !== point || --armed.left !== 0) continue;
      this.host(life.host).crash(order.kind);
      life.check();
    }
  }
}

function claim(world: World): void {
  invariant(running === null, 'two worlds run at the same time: await the first run before the next one');
  running = world;
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

function limitReached(options: RunOptions, events: number, virtualNs: number): string | null {
  const { maxEvents = DEFAULT_MAX_EVENTS, maxVirtualMs = Infinity } = options;
  if (events >= maxEvents) return `${maxEvents} events were not enough`;
  if (virtualNs > maxVirtualMs * 1e6) return `${maxVirtualMs} virtual ms were not enough`;
  return null;
}
