import {
  DebugArena,
  Loop,
  RingQueue,
  OP_NAMES,
  composeServices,
  container,
  silentLogger,
  type DependencyContainer,
  type Logger,
  type SeededRandom,
} from '@mars/brick-core';
import { SimClock, SimDriver } from '../clock.js';
import { SimDisk, type DiskOptions } from '../disk/disk.js';
import { SimFiles } from '../files.js';
import { DEFAULT_SIM_ARENA_BYTES, DEFAULT_SIM_OBJECTS, RING_TAGS_PER_OBJECT } from '../limits.js';
import { SimNet } from '../net/net.js';
import { SimSecureNet } from '../net/secure-net.js';
import { SimRing } from '../ring.js';
import type { Latency } from '../random.js';
import { Life, isHostCrash, type CrashKind } from './life.js';
import type { World } from './world.js';

export interface HostOptions {
  /** Request objects of the host's loop. */
  poolObjects?: number;
  arenaBytes?: number;
  /** How long one tick of the loop keeps the host busy. */
  tickCost?: Latency;
  /** The wall clock is off by so much. */
  skewMs?: number;
  /** Both clocks run fast (> 0) or slow (< 0), parts per million. */
  driftPpm?: number;
  disk?: DiskOptions;
  log?: Logger;
  /** Called at every start of the host, also after a crash; what it starts lives until the next crash. */
  boot?: (host: SimHost) => void | Promise<void>;
}

const DEFAULT_TICK_COST: Latency = { minUs: 1, maxUs: 3 };

/**
 * One host: clocks and disk that survive a crash, and the services of its present life. After a crash the services of the
 * former life throw `HostCrashed` at whoever still holds them.
 */
export class SimHost {
  readonly clock: SimClock;
  readonly disk: SimDisk;
  /** Address in the simulated network; the name works as well. */
  readonly ip: string;
  life!: Life;
  loop!: Loop;
  arena!: DebugArena;
  random!: SeededRandom;
  files!: SimFiles;
  net!: SimNet;
  secureNet!: SimSecureNet;
  container!: DependencyContainer;
  private readonly rings: SimRing[] = [];
  private lives = 0;
  private downSinceMs = 0;

  constructor(
    readonly world: World,
    readonly name: string,
    readonly index: number,
    private readonly options: HostOptions,
  ) {
    const random = world.randomFor(`host/${name}/clock`);
    this.ip = `10.0.${index >> 8}.${(index & 255) + 1}`;
    this.clock = new SimClock(world, {
      startUs: random.int(1_000_000_000),
      skewMs: options.skewMs ?? 0,
      driftPpm: options.driftPpm ?? 0,
    });
    this.disk = new SimDisk(world, name, index, options.disk ?? {});
    this.disk.onCrash = (kind) => this.crash(kind);
  }

  get isUp(): boolean {
    return !this.life.isOver;
  }

  /** Starts of this host so far. */
  get starts(): number {
    return this.lives;
  }

  /** Called by the world once, and by {@link restart}. */
  start(): void {
    const { world, options } = this;
    const life = (this.life = new Life(this.name, this.index, ++this.lives));
    const part = `host/${this.name}/life${life.number}`;
    this.random = world.randomFor(`${part}/services`);
    this.arena = new DebugArena(new ArrayBuffer(options.arenaBytes ?? DEFAULT_SIM_ARENA_BYTES));
    const driver = new SimDriver(
      world,
      this.clock,
      life,
      options.tickCost ?? DEFAULT_TICK_COST,
      world.randomFor(`${part}/driver`),
    );
    this.loop = new Loop(driver, this.arena, options.poolObjects ?? DEFAULT_SIM_OBJECTS);
    this.disk.start();
    this.files = new SimFiles(world, life, this.disk, this.clock);
    this.net = new SimNet(world.net, this.name, life);
    this.secureNet = new SimSecureNet(this.net, this.loop);
    this.rings.length = 0;
    const ring = this.openRing();
    this.loop.useRing(new RingQueue(ring, null, RING_TAGS_PER_OBJECT * (options.poolObjects ?? DEFAULT_SIM_OBJECTS)));
    ring.attach(() => this.loop.kick());
    this.container = composeServices(container.createChildContainer(), {
      loop: this.loop,
      random: this.random,
      files: this.files,
      net: this.net,
      secureNet: this.secureNet,
      log: options.log ?? silentLogger,
    });
    if (options.boot) this.run(() => options.boot!(this));
  }

  /** One more ring over this host's disk, beside `loop.ring`; memory is the arena, its descriptors are those of `files`. */
  openRing(options: { entries?: number } = {}): SimRing {
    const ring = new SimRing(this.world, this.life, this.files, this.arena.memory, options.entries ?? 256);
    this.rings.push(ring);
    return ring;
  }

  /** Ring operations under way in this life. */
  get ringsBusy(): number {
    return this.rings.reduce((sum, ring) => sum + ring.busy, 0);
  }

  /** Starts code of this host as an event of its own; an error in it fails the world, unless the host has died. */
  run(code: () => void | Promise<void>): void {
    const { world, life } = this;
    world.schedule(world.nowNs, 'run', life, () => {
      const done = code();
      if (done !== undefined) {
        done.catch((error: unknown) => {
          if (!isHostCrash(error)) world.fail(error);
        });
      }
    });
  }

  /**
   * Ends this life now. With `power`, unsynced data, sizes and names survive as a seeded subset; with `process` the page
   * cache lives on and nothing that was written is lost.
   */
  crash(kind: CrashKind = 'power'): void {
    if (this.life.isOver) return;
    this.life.end(kind);
    this.downSinceMs = this.world.nowMs;
    this.world.trace.event(this.world.nowNs, this.index, `crash-${kind}`);
    this.disk.crash(kind);
    this.world.net.hostDied(this.name, kind);
  }

  /** Boots again after a crash. */
  restart(): void {
    if (!this.life.isOver) this.crash('process');
    this.start();
    this.world.trace.event(this.world.nowNs, this.index, 'restart', this.lives);
    this.world.net.hostStarted(this.name);
  }

  /** What this host waits for; for the report of a stuck world. */
  waits(): string[] {
    if (!this.isUp) return [`down since ${this.downSinceMs.toFixed(3)} ms`];
    const requests = this.loop.pool
      .outstanding()
      .map((o) => `request ${o.slot}: ${OP_NAMES[o.op]} of ${o.len} bytes at ${o.pos}, ${STATES[o.state]}`);
    const rings = this.rings.flatMap((ring) => ring.waits());
    return [...this.files.waits(), ...rings, ...this.world.net.waits(this.name), ...requests];
  }
}

/** Names of the states of a request (brick-core, xio-object.ts), by number; 0 = freed by its consumer. */
const STATES = ['freed, but retained', 'held by a brick', 'with a provider', 'answered, not delivered'];
