import { BRICKS, ErrorCode, Graph, MarsError, registerBricks } from '@mars/brick-core';
import { ioBricks } from '@mars/bricks-io';
import { ReplayBrick } from '@mars/bricks-logger';
import { DiskWatch, logName, parseReplayLink } from '../logger/disk-watch.js';
import { makeLog } from '../logger/log-maker.js';
import { violation } from '../logger/violation.js';
import { SECTOR_BYTES, defineScenario, noLeaks, type SimHost, type World } from '../index.js';

const LOGS = '/mars/resource-r';
const PLACES = { logs: LOGS, data: '/dev/vda', host: 'a' };
const PATIENCE_MS = 120_000;

/**
 * The life of a secondary: logfiles arrive piece by piece, cut anywhere, and are replayed as they come; the host dies at any moment, of
 * power or alone, and goes on from its replay link. Every publication must be covered by the data device, every byte on it must stand in a durable
 * record, and at the end the device equals the primary. Then the last log is replayed once more from a random older border: nothing changes.
 */
class Secondary {
  readonly host: SimHost;
  readonly watch: DiskWatch;
  /** What the primary has, by serial - 1. */
  readonly source: Uint8Array[] = [];
  graph!: Graph;
  serial = 1;
  isFinished = false;
  private temporary = 0;
  private run: { serial: number; end: number; resolve: () => void } | null = null;

  constructor(
    readonly world: World,
    deviceBytes: number,
  ) {
    const { random } = world;
    this.host = world.addHost('a', {
      disk: { journal: random.int(2) === 0 ? 'journal' : 'posix' },
      boot: (host) => this.boot(host),
    });
    this.host.disk.addDevice('vda', deviceBytes);
    this.watch = new DiskWatch(this.host, PLACES, deviceBytes);
    const { judge } = this.watch;
    const plan = { records: 1 + random.int(120), longest: [1, 8, 60][random.int(3)]!, hot: random.float() };
    for (let n = 1 + random.int(3); n > 0; n--) this.source.push(makeLog(judge, random, plan));
  }

  async liveAndDie(): Promise<void> {
    const { world, host, watch } = this;
    const untilMs = world.nowMs + world.random.float() * [2, 20, 200][world.random.int(3)]!;
    world.after(untilMs - world.nowMs, () => {});
    await world.run({ until: () => this.isFinished || world.nowMs >= untilMs, maxVirtualMs: PATIENCE_MS });
    if (this.isFinished) return;
    host.crash(world.random.int(3) === 0 ? 'process' : 'power');
    watch.crashed();
    host.restart();
  }

  async end(): Promise<void> {
    const { world, watch } = this;
    await world.run({ until: () => this.isFinished, maxVirtualMs: PATIENCE_MS });
    this.compare(12);
    const last = watch.judge.books.get(this.source.length)!;
    const border = last.records[world.random.int(last.records.length)]!.start;
    watch.judge.published = null;
    await world.drive(this.replay(this.source.length, border, false));
    this.compare(3);
    await world.drive(this.stop());
    noLeaks(this.host);
  }

  /** Two more: the device is exactly what the logs say. */
  private compare(inv: 3 | 12): void {
    const { judge } = this.watch;
    for (let sector = 0; sector < judge.history.sectorCount; sector++) {
      const found = this.watch.dataContent(sector, 'durable');
      const expected = judge.expected(sector).content;
      if (found !== expected) throw violation(inv, `sector ${sector} holds ${found} instead of ${expected}`);
    }
  }

  private async boot(host: SimHost): Promise<void> {
    const { container, loop, world } = host;
    registerBricks(container, ioBricks, '@mars/bricks-io');
    registerBricks(container, [ReplayBrick], '@mars/bricks-logger');
    this.graph = new Graph({ name: 'secondary', loop, host: container, registry: container.resolve(BRICKS) });
    this.graph.onEvent((event) => {
      if (event.kind === 'fact' && event.brick === 'replay') this.heard(event.name, event.value);
      if (event.kind === 'threw') world.after(0, () => world.fail(new Error(`brick ${event.brick}: ${event.message}`)));
    });
    host.files.makeDir(LOGS, { recursive: true });
    for (const dir of ['/', '/mars', LOGS]) await host.files.syncDir(dir);
    this.graph.add('data', 'aio', { path: PLACES.data });
    await this.graph.press('data');
    const link = host.files.readLink(`${LOGS}/replay-a`);
    const published = link === null ? { serial: 1, posBytes: 0 } : parseReplayLink(link);
    let from = published.posBytes;
    for (this.serial = published.serial; this.serial <= this.source.length; this.serial++) {
      if (from === 0) await this.publish(this.serial, 0, 0, true);
      await this.receiveAndReplay(this.serial, from);
      from = 0;
    }
    this.isFinished = true;
  }

  /** Fetch and replay of one log go on beside each other. */
  private async receiveAndReplay(serial: number, from: number): Promise<void> {
    const { files } = this.host;
    const path = `${LOGS}/${logName(serial, 'a')}`;
    const file = await files.open(path, { write: true, create: true });
    // What a crash has left behind the durable part is fetched again.
    const there = this.watch.judge.books.get(serial)?.parsed ?? 0;
    if (file.sizeBytes > there) await files.truncate(file, there);
    await files.sync(file, { metadata: true });
    await files.syncDir(LOGS);
    const fetching = this.fetch(serial, there, async (bytes, pos) => {
      await files.writeAt(file, bytes, pos);
      if (this.world.random.int(3) === 0) await files.sync(file);
    });
    await this.replay(serial, from, true);
    await fetching;
    await files.close(file);
  }

  private async fetch(
    serial: number,
    from: number,
    write: (bytes: Uint8Array, pos: number) => Promise<void>,
  ): Promise<void> {
    const bytes = this.source[serial - 1]!;
    const { random } = this.world;
    for (let pos = from; pos < bytes.length;) {
      const end = Math.min(bytes.length, pos + 1 + random.int(random.int(4) === 0 ? 100 : 40_000));
      await write(bytes.subarray(pos, end), pos);
      pos = end;
      if (random.int(3) === 0) await this.host.loop.sleep(random.float() * 20);
    }
  }

  /** Replays a log to the end that the primary says it has. */
  private async replay(serial: number, start: number, continuous: boolean): Promise<void> {
    const { graph } = this;
    const end = this.source[serial - 1]!.length;
    const params = { start, end: continuous ? 0 : end, continuous, parallel: [1, 4, 512][this.world.random.int(3)]! };
    graph.add('log', 'aio', { path: `${LOGS}/${logName(serial, 'a')}` });
    graph.add('replay', 'log-replay', params);
    graph.connect({ consumer: 'replay', input: 'data', nr: 0 }, 'data');
    graph.connect({ consumer: 'replay', input: 'log', nr: 0 }, 'log');
    await graph.press('log');
    const reached = this.reached(serial, end);
    await graph.press('replay');
    await reached;
    await graph.release('replay');
    const code = String(graph.get('replay').stats.fact('replay-code'));
    await graph.release('log');
    for (const name of ['replay', 'log']) await graph.destroy(name);
    if (code !== (continuous ? '2' : '1')) throw unexpected(`replay of log ${serial} ended with code ${code}`);
  }

  private reached(serial: number, end: number): Promise<void> {
    return new Promise((resolve) => {
      this.run = { serial, end, resolve };
    });
  }

  private heard(name: string, value: unknown): void {
    const { serial, end, resolve } = this.run!;
    if (name === 'finished' && value === true) return resolve();
    if (name !== 'progress') return;
    const [minPos, endPos] = String(value).split(',').map(Number) as [number, number];
    void this.publish(serial, minPos, Math.max(0, Math.min(endPos, this.durableEnd(serial)) - minPos), false);
    if (minPos >= end) resolve();
  }

  private durableEnd(serial: number): number {
    return this.watch.logDurableBytes(serial, 0);
  }

  private async publish(serial: number, posBytes: number, dirtyBytes: number, isNew: boolean): Promise<void> {
    const { files, life } = this.host;
    const temporary = `${LOGS}/.tmp-${life.number}-${++this.temporary}`;
    files.symlink(`${logName(serial, 'a')},${posBytes},${dirtyBytes}`, temporary);
    files.rename(temporary, `${LOGS}/replay-a`);
    if (isNew) await files.syncDir(LOGS);
  }

  private async stop(): Promise<void> {
    await this.graph.release('data');
    await this.graph.destroy('data');
  }
}

function unexpected(what: string): MarsError {
  return new MarsError(ErrorCode.VERIFY_FAILED, what, { hint: 'Nothing is damaged in this story.' });
}

export default defineScenario(
  'replay-crash',
  'a secondary that dies at any moment of a replay ends with exactly what its primary has',
  { hosts: 0, seeds: 60 },
  async (world) => {
    const secondary = new Secondary(world, [64, 256][world.random.int(2)]! * 1024 + 16 * SECTOR_BYTES);
    for (let crashes = world.random.int(6); crashes > 0 && !secondary.isFinished; crashes--)
      await secondary.liveAndDie();
    await secondary.end();
  },
);
