import { container, type DependencyContainer } from '../di.js';
import type { BrickBase } from '../brick/brick-base.js';
import { brickMeta, type BrickClass, type ResolvedMeta } from '../brick/meta.js';
import { composeServices, registerBricks, BRICKS } from '../graph/compose.js';
import { Graph } from '../graph/graph.js';
import { invariant, setVerify } from '../invariant.js';
import { Loop } from '../loop/loop.js';
import type { Files } from '../machine/files.js';
import type { Logger } from '../machine/logger.js';
import type { Net } from '../machine/net.js';
import { createRandom } from '../machine/random.js';
import { DebugArena } from '../request/arena.js';
import { advertisedOps, opNames } from '../request/info.js';
import type { OpName } from '../request/ops.js';
import { Sink, Spinner } from './allocation.js';
import { MemoryDisk } from './memory-disk.js';
import { Probe, type ProbeRequest, type ProbeResult } from './probe.js';
import { VirtualDriver } from './virtual-driver.js';

/** How a brick is built for tests. */
export interface KitOptions {
  /** Parameters of the memory disk under every input (`size`, `align`, `maxLen`, `fua`, `zero`). */
  disk?: Record<string, unknown>;
  /** Further brick classes that the test needs. */
  bricks?: readonly BrickClass[];
  files?: Files;
  net?: Net;
  log?: Logger;
  /** Further services for the brick's constructor. */
  services?: (host: DependencyContainer) => void;
  poolObjects?: number;
  arenaBytes?: number;
  /** A host of another kind than the virtual one: a real machine, or a host of a simulated world. */
  makeHost?: () => Promise<HostParts>;
}

/** What another kind of host brings. Its arena must be a `DebugArena`, or leaks would go unseen. */
export interface HostParts {
  loop: Loop;
  arena: DebugArena;
  /** Composed with `composeServices`; brick types are registered by the kit. */
  container: DependencyContainer;
  /** Lets (real or simulated) time pass, about that long at most. */
  runFor(ms: number): Promise<void>;
  settle<T>(promise: Promise<T>): Promise<T>;
  close?(): Promise<void>;
}

const DEFAULT_ARENA_BYTES = 8 * 2 ** 20;

/** One loop on a virtual clock with debug arena, and the services of one host. */
export interface TestHost extends HostParts {
  clock: VirtualDriver;
  graph: Graph;
}

/** A host for tests: virtual clock, poisoned memory, seeded randomness, an empty graph. */
export function createTestHost(options: KitOptions = {}): TestHost {
  setVerify(true);
  const clock = new VirtualDriver();
  const arena = new DebugArena(new ArrayBuffer(options.arenaBytes ?? DEFAULT_ARENA_BYTES));
  const loop = new Loop(clock, arena, options.poolObjects ?? 256);
  const host = composeServices(container.createChildContainer(), { loop, random: createRandom(1), ...options });
  const parts: HostParts = {
    loop,
    arena,
    container: host,
    runFor: async (ms) => clock.advanceMs(ms),
    settle: (promise) => clock.settle(promise),
  };
  return { ...parts, clock, graph: furnish(parts, options) };
}

/** Registers the brick types and services of a test, and gives an empty graph. */
function furnish({ container: host, loop }: HostParts, options: KitOptions): Graph {
  registerBricks(host, [MemoryDisk, Probe, Sink, Spinner, ...(options.bricks ?? [])], 'test');
  options.services?.(host);
  const log = options.log === undefined ? {} : { log: options.log };
  return new Graph({ name: 'test', loop, host, registry: host.resolve(BRICKS), ...log });
}

/**
 * What conformance needs: something with a probe on top and memory disks below, fresh for every test.
 * {@link BrickKit} holds one brick, {@link StackKit} a stack of them.
 */
export abstract class Kit {
  private host_: (HostParts & { clock?: VirtualDriver; graph: Graph }) | null = null;

  protected constructor(
    /** For test titles: `"delay"`. */
    readonly title: string,
    readonly options: KitOptions = {},
  ) {}

  /** The brick under the probe: what is switched in tests of power. */
  readonly top: string = 'brick';

  /** Another kit of the same kind; every conformance test uses one of its own. */
  abstract clone(): Kit;
  /** Brick classes that {@link build} needs. */
  protected abstract classes(): readonly BrickClass[];
  /** Adds the bricks and wires to the empty graph. */
  protected abstract build(): void;
  /** True for a single brick with one input and one output: it can be put on a wire. */
  abstract get isFilter(): boolean;
  abstract get hasOutput(): boolean;
  abstract get hasInput(): boolean;

  /** Builds a fresh world and switches everything on, unless told otherwise. */
  async open({ press = true }: { press?: boolean } = {}): Promise<void> {
    const options = { ...this.options, bricks: [...this.classes(), ...(this.options.bricks ?? [])] };
    if (options.makeHost === undefined) this.host_ = createTestHost(options);
    else {
      const parts = await options.makeHost();
      this.host_ = { ...parts, graph: furnish(parts, options) };
    }
    this.build();
    if (press) await this.pressAll();
  }

  protected addProbe(port = 'out'): void {
    this.graph.add('probe', 'test-probe');
    this.graph.connect({ consumer: 'probe', input: 'next', nr: 0 }, this.top, port);
  }

  /** Switches everything off, checks that nothing leaked, and forgets the world. */
  async close(): Promise<void> {
    if (this.host_ === null) return;
    try {
      for (const brick of this.graph.providersFirst().reverse()) {
        // Adaptors go together with the brick that needed them.
        if (this.graph.has(brick.name)) await this.settle(this.graph.release(brick.name));
      }
      for (const brick of this.graph.providersFirst().reverse()) await this.settle(this.graph.destroy(brick.name));
      this.expectNoLeaks();
    } finally {
      const { close } = this.host;
      this.host_ = null;
      await close?.();
    }
  }

  /** Objects and memory that are still out, by an invariant that names them. */
  expectNoLeaks(): void {
    const objects = this.loop.pool.outstanding();
    const blocks = this.arena.leaks();
    invariant(
      objects.length === 0,
      `${objects.length} requests were never freed (slots ${objects.map((o) => o.slot).join(', ')})`,
    );
    invariant(
      blocks.length === 0,
      `${blocks.length} blocks were never released: ${JSON.stringify(blocks.slice(0, 5))}`,
    );
  }

  async pressAll(): Promise<void> {
    for (const brick of this.graph.providersFirst()) await this.settle(this.graph.press(brick.name));
  }

  get host(): HostParts & { clock?: VirtualDriver; graph: Graph } {
    invariant(this.host_ !== null, 'the kit is used outside a test');
    return this.host_;
  }
  get graph(): Graph {
    return this.host.graph;
  }
  get loop(): Loop {
    return this.host.loop;
  }
  get arena(): DebugArena {
    return this.host.arena;
  }
  /** The virtual clock; only on virtual hosts. */
  get clock(): VirtualDriver {
    const { clock } = this.host;
    if (clock === undefined) invariant(false, 'this kit runs on a host without a virtual clock');
    return clock;
  }
  get brick(): BrickBase {
    return this.graph.get(this.top);
  }
  get probe(): Probe {
    return this.graph.get('probe') as Probe;
  }
  get disk(): MemoryDisk {
    return this.graph.get('disk') as MemoryDisk;
  }
  /** The disk under the nth input, counted from 1. */
  diskNr(nr: number): MemoryDisk {
    return this.graph.get(nr === 1 ? 'disk' : `disk${nr}`) as MemoryDisk;
  }
  /** Sends one request and lets everything run that is due now; time does not move. */
  request(request: ProbeRequest, done?: (result: ProbeResult) => void): void {
    const wasSent = this.probe.send(request, done);
    invariant(wasSent, 'the pool of the test kit is exhausted');
    this.run();
  }
  read(what: { posBytes: number; lenBytes: number; flags?: number }, done?: (result: ProbeResult) => void): void {
    this.request({ op: 'read', ...what }, done);
  }
  write(
    what: { posBytes: number; data: Uint8Array | string; flags?: number },
    done?: (result: ProbeResult) => void,
  ): void {
    this.request({ op: 'write', ...what }, done);
  }
  flush(done?: (result: ProbeResult) => void): void {
    this.request({ op: 'flush' }, done);
  }
  trim(what: { posBytes: number; lenBytes: number; flags?: number }, done?: (result: ProbeResult) => void): void {
    this.request({ op: 'trim', ...what }, done);
  }
  zero(what: { posBytes: number; lenBytes: number; flags?: number }, done?: (result: ProbeResult) => void): void {
    this.request({ op: 'zero', ...what }, done);
  }

  /** Sends one request, lets time pass until it is answered, and returns the answer. */
  async answerOf(request: ProbeRequest): Promise<ProbeResult> {
    const answer = new Promise<ProbeResult>((resolve) => this.request(request, resolve));
    return this.settle(answer);
  }

  /** Runs everything that is due now; on hosts without a virtual clock nothing, there it runs by itself. */
  run(): void {
    this.host.clock?.runUntilIdle();
  }

  /** Lets time pass. */
  runFor(ms: number): Promise<void> {
    return this.host.runFor(ms);
  }

  settle<T>(promise: Promise<T>): Promise<T> {
    return this.host.settle(promise);
  }

  /** Operations that the brick advertises now. */
  get advertised(): OpName[] {
    return opNames(advertisedOps(this.graph.wire({ consumer: 'probe', input: 'next', nr: 0 }).cached));
  }
}

/**
 * One brick between a probe and memory disks:
 *
 * ```
 *   probe ──> brick under test ──> disk (one per input; "disk", "disk2" …)
 * ```
 * A brick without outputs has no probe, one without inputs has no disk.
 */
export class BrickKit<B extends BrickBase = BrickBase> extends Kit {
  readonly meta: ResolvedMeta;

  constructor(
    readonly cls: new (...args: never[]) => B,
    readonly params: Record<string, unknown> = {},
    options: KitOptions = {},
  ) {
    const meta = brickMeta(cls);
    invariant(meta !== undefined, `class ${cls.name} has no @Brick table`);
    super(`"${meta.type}"`, options);
    this.meta = meta;
  }

  override clone(): BrickKit<B> {
    return new BrickKit(this.cls, this.params, this.options);
  }

  protected override classes(): readonly BrickClass[] {
    return [this.cls as unknown as BrickClass];
  }

  protected override build(): void {
    this.graph.add('brick', this.meta.type, this.params);
    let disks = 0;
    for (const input of Object.keys(this.meta.inputs)) {
      const name = disks++ === 0 ? 'disk' : `disk${disks}`;
      this.graph.add(name, 'test-disk', this.options.disk);
      this.graph.connect({ consumer: 'brick', input, nr: 0 }, name);
    }
    if (this.hasOutput) this.addProbe(this.meta.outputs[0]);
  }

  override get brick(): B {
    return super.brick as B;
  }
  override get hasOutput(): boolean {
    return this.meta.outputs.length > 0;
  }
  override get hasInput(): boolean {
    return Object.keys(this.meta.inputs).length > 0;
  }
  override get isFilter(): boolean {
    return Object.keys(this.meta.inputs).length === 1 && this.meta.outputs.length === 1;
  }
}

/** Adds the bricks of a stack over `disk`, wires them, and returns the name of the topmost one. */
export type BuildStack = (graph: Graph, disk: string) => string;

/**
 * A whole stack between a probe and a memory disk. Name every class that the stack uses under `options.bricks`.
 *
 * ```ts
 * describeBrickConformance(useStackKit('delay over offset', (graph, disk) => { …; return 'delay'; }, { bricks: [DelayBrick, OffsetBrick] }));
 * ```
 */
export class StackKit extends Kit {
  override top = '';

  constructor(
    title: string,
    private readonly buildStack: BuildStack,
    options: KitOptions = {},
  ) {
    super(title, options);
  }

  override clone(): StackKit {
    return new StackKit(this.title, this.buildStack, this.options);
  }

  protected override classes(): readonly BrickClass[] {
    return [];
  }

  protected override build(): void {
    this.graph.add('disk', 'test-disk', this.options.disk);
    this.top = this.buildStack(this.graph, 'disk');
    this.addProbe();
  }

  override get hasOutput(): boolean {
    return true;
  }
  override get hasInput(): boolean {
    return true;
  }
  override get isFilter(): boolean {
    return false;
  }
}

/**
 * A kit for the tests of one `describe`: opened before each test, closed and checked for leaks after it.
 * @param params as they stand in a stack file (`'10ms'`, `'64M'`)
 */
export function useBrickKit<B extends BrickBase>(
  cls: new (...args: never[]) => B,
  params: Record<string, unknown> = {},
  options: KitOptions = {},
): BrickKit<B> {
  return hooked(new BrickKit(cls, params, options));
}

/** The same for a whole stack. */
export function useStackKit(title: string, build: BuildStack, options: KitOptions = {}): StackKit {
  return hooked(new StackKit(title, build, options));
}

function hooked<K extends Kit>(kit: K): K {
  beforeEach(() => kit.open());
  afterEach(() => kit.close());
  return kit;
}
