/** A replay between a log that tests write, and a memory disk. */

import {
  Brick,
  BrickBase,
  CAP_FLUSH,
  CAP_GROW,
  CAP_WHOLE,
  CAP_WRITE,
  F_UPTODATE,
  OP_FLUSH,
  OP_READ,
  type SeededRandom,
  type XioInfo,
  type XioObject,
} from '@mars/brick-core';
import { createTestHost, type MemoryDisk, type TestHost } from '@mars/brick-core/testing';
import { buildLog, lcgBytes, type BuiltLog, type RecordPlan } from '../../log-format/support.test.kit.js';
import { ReplayBrick } from './replay-brick.js';

export const DISK_BYTES = 256 * 1024;

/** A logfile as `aio` shows it: grows, serves short at its end, knows what is durable. */
@Brick({ type: 'test-log', ops: ['read', 'write', 'flush'] })
export class TestLog extends BrickBase {
  content = new Uint8Array(0);
  /** Bytes that the last flush covers. */
  durableBytes = 0;
  reads = 0;
  flushes = 0;
  failReads = 0;
  failFlushes = 0;
  /** Called before a flush is answered. */
  onFlush: () => void = () => {};

  info(into: XioInfo): number {
    into.size = this.content.length;
    into.caps = CAP_WRITE | CAP_FLUSH | CAP_GROW | CAP_WHOLE;
    return 0;
  }

  io(o: XioObject): void {
    if (o.op === OP_FLUSH) this.ctx.loop.after(1, this.content.length, (bytes) => this.flushed(o, bytes));
    else if (o.op === OP_READ) this.read(o);
  }

  append(bytes: Uint8Array): void {
    const longer = new Uint8Array(this.content.length + bytes.length);
    longer.set(this.content);
    longer.set(bytes, this.content.length);
    this.content = longer;
  }

  private flushed(o: XioObject, bytes: number): void {
    this.flushes++;
    this.onFlush();
    if (this.failFlushes === 0) this.durableBytes = Math.max(this.durableBytes, bytes);
    this.ctx.loop.finish(o, this.failFlushes);
  }

  private read(o: XioObject): void {
    this.reads++;
    o.len = Math.max(0, Math.min(o.len, this.content.length - o.pos));
    this.ctx.mem.u8.set(this.content.subarray(o.pos, o.pos + o.len), o.buf);
    o.flags |= F_UPTODATE;
    this.ctx.loop.finish(o, this.failReads);
  }
}

export class ReplayWorld {
  readonly disk: MemoryDisk;
  readonly log: TestLog;
  readonly brick: ReplayBrick;
  /** `minPos,endPos`, as published. */
  readonly progress: string[] = [];
  replayCode = '';
  isFinished = false;

  constructor(readonly host: TestHost) {
    const { graph } = host;
    this.disk = graph.get('disk') as MemoryDisk;
    this.log = graph.get('log') as TestLog;
    this.brick = graph.get('replay') as ReplayBrick;
    graph.onEvent((event) => {
      if (event.kind !== 'fact' || event.brick !== 'replay') return;
      if (event.name === 'progress') this.progress.push(event.value as string);
      if (event.name === 'replay-code') this.replayCode = event.value as string;
      if (event.name === 'finished') this.isFinished = event.value as boolean;
    });
  }

  /** The last published position; `start` if there was none. */
  get minPos(): number {
    return this.brick.replayer.minPos;
  }

  async press(): Promise<void> {
    for (const name of ['disk', 'log', 'replay']) await this.host.settle(this.host.graph.press(name));
  }

  /** Lets time pass until the replay has come to an end. */
  toItsEnd(): void {
    for (let i = 0; i < 100 && !this.isFinished; i++) this.host.clock.advanceMs(1000);
    if (!this.isFinished) throw new Error(`the replay does not end: ${this.brick.replayer.state}`);
  }

  async close(): Promise<void> {
    const { graph } = this.host;
    for (const name of ['replay', 'log', 'disk']) {
      await this.host.settle(graph.release(name));
      await this.host.settle(graph.destroy(name));
    }
    const { pool } = this.host.loop;
    const left = [...pool.outstanding(), ...this.host.arena.leaks()];
    if (left.length > 0) throw new Error(`${left.length} objects or blocks were left behind`);
  }
}

export interface WorldOptions {
  params?: Record<string, unknown>;
  disk?: Record<string, unknown>;
  log?: Uint8Array;
  /** Contents of the disk; default zeros. */
  image?: Uint8Array;
  poolObjects?: number;
}

export function makeWorld({ params = {}, disk = {}, log, image, poolObjects = 256 }: WorldOptions = {}): ReplayWorld {
  const host = createTestHost({ bricks: [ReplayBrick, TestLog], poolObjects });
  const { graph } = host;
  graph.add('disk', 'test-disk', { size: DISK_BYTES, ...disk });
  graph.add('log', 'test-log');
  graph.add('replay', 'log-replay', params);
  graph.connect({ consumer: 'replay', input: 'data', nr: 0 }, 'disk');
  graph.connect({ consumer: 'replay', input: 'log', nr: 0 }, 'log');
  const world = new ReplayWorld(host);
  if (log !== undefined) world.log.content = log.slice();
  if (image !== undefined) {
    world.disk.store.set(image);
    world.disk.durable.set(image);
  }
  return world;
}

/** Opens a world, lets the replay run to its end, looks at it, and closes it. */
export async function replayed(
  options: WorldOptions,
  look: (world: ReplayWorld) => void | Promise<void>,
): Promise<void> {
  const world = makeWorld(options);
  await world.press();
  world.toItsEnd();
  await look(world);
  await world.close();
}

/** What the disk looks like when the records up to log offset `upTo` were applied one after the other. */
export function modelAt(plans: readonly RecordPlan[], log: BuiltLog, upTo: number, image?: Uint8Array): Uint8Array {
  const disk = new Uint8Array(DISK_BYTES);
  if (image !== undefined) disk.set(image);
  plans.forEach((plan, i) => {
    if (log.offsets[i + 1]! <= upTo && (plan.code ?? 1) === 1) disk.set(plan.payload, plan.pos);
  });
  return disk;
}

/** Records of whole sectors that overlap each other a lot. */
export function hotPlans(random: SeededRandom, count: number, spanBytes = 16 * 1024): RecordPlan[] {
  return Array.from({ length: count }, (_, i) => {
    const len = 512 * (1 + random.int(8));
    const pos = 512 * random.int((spanBytes - len) / 512 + 1);
    return { pos, payload: lcgBytes(len, i + 1) };
  });
}

export function logOf(plans: readonly RecordPlan[]): BuiltLog {
  return buildLog(plans);
}
