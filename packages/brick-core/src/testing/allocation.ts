import { BrickBase } from '../brick/brick-base.js';
import { Brick } from '../brick/meta.js';
import { invariant } from '../invariant.js';
import { CAP_FLUSH, CAP_ORDERED, CAP_WHOLE, CAP_WRITE, SUPPORT_NATIVE, type XioInfo } from '../request/info.js';
import { OP_READ, OP_WRITE } from '../request/ops.js';
import type { XioObject } from '../request/xio-object.js';
import type { HostParts, Kit } from './kit.js';

const DEPTH = 64;
const WARM_UP_REQUESTS = 30_000;
// Many, because the debug arena makes some 40 KB of views when a round takes its objects: that must vanish in the mean.
const MEASURED_REQUESTS = 100_000;
/** Time that passes between two looks, ms, and how many looks are for ever. */
const TURN_MS = 50;
const MAX_TURNS = 100_000;
/** Rounds at most; on a loaded machine the compiler takes its time, and what allocates for real never gets below. */
const MAX_ROUNDS = 20;
const CLEAN_BYTES = 0.5;

/** A consumer in a closed loop that allocates nothing itself. */
@Brick({ type: 'test-spinner', inputs: { next: { perm: ['read', 'write'], share: ['read', 'write'] } } })
export class Spinner extends BrickBase {
  answered = 0;
  private left = 0;
  private maySend = OP_READ;
  private positions = 1;
  private lenBytes = 512;

  /** Sends `requests` reads and writes, always `DEPTH` at a time. */
  spin(requests: number): void {
    const { cached } = this.input('next');
    this.lenBytes = Math.max(512, cached.align);
    this.positions = Math.max(1, Math.floor(Math.min(cached.size, 2 ** 20) / this.lenBytes));
    this.maySend = cached.caps & CAP_WRITE ? OP_WRITE : OP_READ;
    this.left = requests;
    for (let i = 0; i < DEPTH && this.left > 0; i++) {
      const o = this.ctx.pool.take(this, this.lenBytes);
      invariant(o !== null, 'the pool of the test kit is exhausted');
      o.push(this);
      this.send(o);
    }
  }

  complete(o: XioObject): void {
    this.answered++;
    if (this.left > 0) this.send(o);
    else this.ctx.pool.free(o);
  }

  private send(o: XioObject): void {
    const n = this.left--;
    o.op = n & 1 ? OP_READ : this.maySend;
    o.len = this.lenBytes;
    o.pos = (n % this.positions) * this.lenBytes;
    this.input('next').io(o);
  }
}

/** A provider that answers at once and keeps nothing, so that what is measured is the brick. */
@Brick({ type: 'test-sink', ops: 'all' })
export class Sink extends BrickBase {
  info(into: XioInfo): number {
    into.size = 2 ** 20;
    into.caps = CAP_WRITE | CAP_FLUSH | CAP_WHOLE | CAP_ORDERED;
    into.fua = SUPPORT_NATIVE;
    return 0;
  }

  io(o: XioObject): void {
    this.ctx.loop.finish(o, 0);
  }
}

/**
 * JavaScript memory per request through the brick of a kit, bytes, after warm-up: the lowest of several rounds, because the
 * compiler and the test runner allocate now and then too.
 */
export async function bytesPerRequest(kit: Kit): Promise<number> {
  const { graph } = kit;
  const wire = graph.wire({ consumer: 'probe', input: 'next', nr: 0 });
  graph.add('spinner', 'test-spinner');
  graph.connect({ consumer: 'spinner', input: 'next', nr: 0 }, wire.provider!.name, wire.providerPort);
  if (kit.hasInput) await replaceDisks(kit);
  await kit.settle(graph.press('spinner'));
  return heapGrowthPerRequest(graph.get('spinner') as Spinner, kit.host);
}

/** The same for a stack that a test has built by itself, with a pressed {@link Spinner} on top. */
export async function heapGrowthPerRequest(spinner: Spinner, host: Pick<HostParts, 'runFor'>): Promise<number> {
  const run = async (requests: number): Promise<void> => {
    const end = spinner.answered + requests;
    spinner.spin(requests);
    for (let turns = 0; spinner.answered < end; turns++) {
      await host.runFor(TURN_MS);
      invariant(turns < MAX_TURNS, 'requests hang');
    }
  };
  await run(WARM_UP_REQUESTS);
  let best = Infinity;
  for (let round = 0; round < MAX_ROUNDS && best > CLEAN_BYTES; round++) {
    globalThis.gc?.();
    const before = process.memoryUsage().heapUsed;
    await run(MEASURED_REQUESTS);
    best = Math.min(best, Math.max(0, process.memoryUsage().heapUsed - before) / MEASURED_REQUESTS);
  }
  return best;
}

// The memory disk of the kit records every request; that is memory of the test, not of the brick.
async function replaceDisks(kit: Kit): Promise<void> {
  const { graph } = kit;
  let n = 0;
  for (const disk of graph.names().filter((name) => graph.get(name).meta.type === 'test-disk')) {
    for (const wire of graph.consumersOf(graph.get(disk))) {
      const name = `sink${n++}`;
      graph.add(name, 'test-sink');
      await kit.settle(graph.press(name));
      await kit.settle(graph.swap({ consumer: wire.consumer.name, input: wire.name, nr: wire.nr }, name));
    }
  }
}
