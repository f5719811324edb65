import { RingQueue, type BrickStatus, type Loop } from '@mars/brick-core';
import { createTestHost, type MemoryDisk, type TestHost } from '@mars/brick-core/testing';
import { IfNbdBrick } from '../if-nbd/if-nbd.js';
import { MemoryRing, type MemoryClient } from './memory-ring.test.kit.js';

export interface ServerKitOptions {
  /** Parameters of if-nbd besides `listen`. */
  params?: Record<string, unknown>;
  /** Parameters of the memory disk. */
  disk?: Record<string, unknown>;
  seed?: number;
  poolObjects?: number;
  arenaBytes?: number;
}

/** The server over a memory disk and sockets in memory, on a virtual clock: everything at once, and nothing by chance. */
export class ServerKit {
  readonly host: TestHost;
  readonly ring: MemoryRing;

  private constructor(readonly options: ServerKitOptions) {
    const { poolObjects, arenaBytes } = options;
    this.host = createTestHost({
      bricks: [IfNbdBrick],
      ...(poolObjects === undefined ? {} : { poolObjects }),
      ...(arenaBytes === undefined ? {} : { arenaBytes }),
    });
    this.ring = new MemoryRing(this.host.arena.memory, options.seed === undefined ? {} : { seed: options.seed });
    useMemoryRing(this.host.loop, this.ring);
  }

  static async open(options: ServerKitOptions = {}): Promise<ServerKit> {
    const kit = new ServerKit(options);
    kit.addFront('brick', options.params, 'disk');
    await kit.press('disk');
    await kit.press('brick');
    return kit;
  }

  get graph(): TestHost['graph'] {
    return this.host.graph;
  }
  get disk(): MemoryDisk {
    return this.graph.get('disk') as MemoryDisk;
  }

  /** One more export, over a disk of its own that is on already. */
  async add(name: string, params: Record<string, unknown> = {}): Promise<void> {
    this.addFront(name, params, `${name}-disk`);
    await this.press(`${name}-disk`);
  }

  private addFront(name: string, params: Record<string, unknown> = {}, disk: string): void {
    this.graph.add(disk, 'test-disk', this.options.disk);
    this.graph.add(name, 'if-nbd', { listen: ['/test.sock'], ...params });
    this.graph.connect({ consumer: name, input: 'disk', nr: 0 }, disk);
  }

  press(name: string): Promise<void> {
    return this.host.clock.settle(this.graph.press(name));
  }

  release(name: string): Promise<void> {
    return this.host.clock.settle(this.graph.release(name));
  }

  connect(): MemoryClient {
    const client = this.ring.connect();
    this.run();
    return client;
  }

  /** Runs everything that is due now. */
  run(): void {
    this.host.clock.runUntilIdle();
  }

  statusOf(name: string): BrickStatus {
    return this.graph.statusOf(this.graph.get(name));
  }

  /** Objects, arena bytes and descriptors that are out now. */
  get outstanding(): { objects: number; arenaBytes: number; descriptors: number } {
    return {
      objects: this.host.loop.pool.outstanding().length,
      arenaBytes: this.host.arena.usedBytes,
      descriptors: this.ring.openCount,
    };
  }

  /** Switches off, and throws when anything is left. */
  async close(): Promise<void> {
    for (const brick of this.graph.providersFirst().reverse()) await this.release(brick.name);
    const { objects, arenaBytes, descriptors } = this.outstanding;
    if (objects + arenaBytes + descriptors > 0) {
      throw new Error(`left behind: ${objects} objects, ${arenaBytes} bytes of the arena, ${descriptors} descriptors`);
    }
  }
}

/** Gives a loop a ring in memory; what the clients do wakes the loop. */
export function useMemoryRing(loop: Loop, ring: MemoryRing): void {
  loop.useRing(new RingQueue(ring, ring));
  ring.attach(() => loop.kick());
}
