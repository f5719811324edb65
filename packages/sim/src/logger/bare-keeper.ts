import { BRICKS, ErrorCode, Graph, MarsError, registerBricks, type BrickClass } from '@mars/brick-core';
import { checkBricks, registerCheckServices } from '@mars/bricks-check';
import { ioBricks } from '@mars/bricks-io';
import { ReplayBrick, TransLoggerBrick } from '@mars/bricks-logger';
import { findNextRecordSync, judgeTail, readerOf, scanLogSync } from '@mars/bricks-logger/log-format';
import type { SimHost } from '../world/host.js';
import { logName, parseReplayLink, serialFrom, type LoggerPlaces } from './disk-watch.js';
import { IfJudgedBrick, JUDGED_CLIENT, type JudgedClient } from './if-judged.js';
import type { Keeper, LoggerSettings, RunningLogger } from './keeper.js';
import type { Published } from './judge.js';

/**
 * The shortest strategy that transaction-log.md 3.2 and 3.3 allow, over bare bricks: so that a failure of the logger is not
 * looked for in the strategy. The real one has a story of its own.
 */
export const bareKeeper: Keeper = async (host, settings, client) => {
  const keeper = new BareKeeper(host, settings, client);
  const serial = await keeper.recover();
  await keeper.bringUp(serial);
  return keeper;
};

class BareKeeper implements RunningLogger {
  private readonly graph: Graph;
  private serial = 0;
  /** Slot of the log port → its brick. */
  private readonly slots: (string | null)[] = [null, null];
  private published: Published = { serial: 1, posBytes: 0, dirtyBytes: 0 };
  private temporary = 0;
  /** One after the other: publications that switch logs, rotations. */
  private jobs: Promise<void> = Promise.resolve();
  private isStopping = false;
  /** The replay that goes on. */
  private run: { serial: number; resolve: () => void } | null = null;

  constructor(
    private readonly host: SimHost,
    private readonly settings: LoggerSettings,
    client: JudgedClient,
  ) {
    const { container, loop, world } = host;
    registerCheckServices(container);
    registerBricks(container, checkBricks, '@mars/bricks-check');
    registerBricks(container, ioBricks, '@mars/bricks-io');
    const own: readonly BrickClass[] = [ReplayBrick, TransLoggerBrick, IfJudgedBrick];
    registerBricks(container, own, '@mars/sim');
    container.register(JUDGED_CLIENT, { useValue: client });
    this.graph = new Graph({ name: 'logged', loop, host: container, registry: container.resolve(BRICKS) });
    this.graph.onEvent((event) => {
      if (event.kind === 'threw')
        world.after(0, () => world.fail(new Error(`brick ${event.brick} on ${host.name}: ${event.message}`)));
      if (event.kind !== 'fact') return;
      if (event.brick === 'logger' && event.name === 'replay') this.loggerHasReported(event.value);
      if (event.brick === 'replay') this.replayHasReported(event.name, event.value);
    });
  }

  // ----------------------------------------------------------------------------------------------------------- recovery

  /** @returns serial of the empty log to go on with */
  async recover(): Promise<number> {
    const link = this.host.files.readLink(`${this.places.logs}/replay-${this.places.host}`);
    if (link !== null) this.published = parseReplayLink(link);
    this.graph.add('data', 'aio', this.dataParams());
    await this.graph.press('data');
    for (let serial = this.published.serial; ; serial++) {
      const size = this.sizeOf(serial);
      if (size === null) return await this.createLog(serial);
      const from = serial === this.published.serial ? this.published.posBytes : 0;
      if (from === 0 && serial > this.published.serial) await this.publish({ serial, posBytes: 0, dirtyBytes: 0 });
      const end = await this.cutTail(serial, from, size);
      if (end > from) await this.replay(serial, from, end);
      if (end === 0 && this.sizeOf(serial + 1) === null) return serial;
    }
  }

  /** Where the log ends: behind its last good record. Source: transaction-log.md 3.3 [OURS]. */
  private async cutTail(serial: number, from: number, size: number): Promise<number> {
    const bytes = this.host.files.readFile(this.pathOf(serial))!;
    const read = readerOf(bytes);
    const scan = scanLogSync(read, { from });
    const behind = findNextRecordSync(read, { from: scan.goodEnd, stepBytes: 1, aboveSeq: scan.stats.lastSeq });
    const { published } = this;
    const dirtyEnd = published.serial === serial ? published.posBytes + published.dirtyBytes : 0;
    const verdict = judgeTail({ scan, fileBytes: size, dirtyEnd, validRecordBehind: behind !== null });
    if (!verdict.accept) throw stuck(`log ${serial} is ${verdict.reason} at ${verdict.cutAt} of ${size}`);
    if (verdict.cutAt < size) await this.cut(serial, verdict.cutAt);
    return verdict.cutAt;
  }

  private async cut(serial: number, sizeBytes: number): Promise<void> {
    const hasSuccessor = (this.sizeOf(serial + 1) ?? 0) > 0;
    // Only a log that failed while it was written may be torn in front of another one, which then repeats what is lost.
    if (hasSuccessor && !this.settings.mayFail)
      throw stuck(`log ${serial} has a torn tail, and its successor is not empty`);
    const { files } = this.host;
    const file = await files.open(this.pathOf(serial), { write: true });
    await files.truncate(file, sizeBytes);
    // Durable before anything is built on it: else a second power cut brings the tail back.
    await files.sync(file, { metadata: true });
    await files.close(file);
  }

  private async replay(serial: number, start: number, end: number): Promise<void> {
    const { graph } = this;
    const ended = new Promise<void>((resolve) => {
      this.run = { serial, resolve };
    });
    graph.add('log', 'aio', { path: this.pathOf(serial) });
    graph.add('replay', 'log-replay', { start, end });
    graph.connect({ consumer: 'replay', input: 'data', nr: 0 }, 'data');
    graph.connect({ consumer: 'replay', input: 'log', nr: 0 }, 'log');
    await graph.press('log');
    await graph.press('replay');
    await ended;
    const code = String(graph.get('replay').stats.fact('replay-code'));
    for (const name of ['replay', 'log']) {
      await graph.release(name);
      await graph.destroy(name);
    }
    if (code !== '1') throw stuck(`replay of log ${serial} ended with code ${code}`);
  }

  private replayHasReported(name: string, value: unknown): void {
    const { serial, resolve } = this.run!;
    if (name === 'finished' && value === true) resolve();
    if (name !== 'progress') return;
    const [posBytes, endBytes] = String(value).split(',').map(Number) as [number, number];
    this.setLink({ serial, posBytes, dirtyBytes: endBytes - posBytes });
  }

  // ------------------------------------------------------------------------------------------------------------ logging

  async bringUp(serial: number): Promise<void> {
    const { graph, settings } = this;
    await this.publish({ serial, posBytes: 0, dirtyBytes: 0 });
    this.serial = serial;
    const identity = { 'log-seq': serial };
    graph.add('logger', 'trans-logger', { ...settings.logger, ...identity });
    graph.add('client', 'if-judged', settings.client);
    graph.connect({ consumer: 'logger', input: 'data', nr: 0 }, 'data');
    await this.wireLog(serial, 0);
    graph.connect({ consumer: 'client', input: 'next', nr: 0 }, 'logger');
    await graph.press('logger');
    await graph.press('client');
    this.watchSize();
  }

  rotate(): Promise<void> {
    const rotated = this.jobs.then(async () => {
      const free = this.slots.indexOf(null);
      if (free < 0 || this.isStopping) return;
      await this.wireLog(await this.createLog(this.serial + 1), free);
    });
    // A log that cannot be made now does not keep the next publication from happening.
    this.jobs = rotated.catch(() => {});
    return rotated;
  }

  private async rotateIfPossible(): Promise<void> {
    try {
      await this.rotate();
    } catch (error) {
      if (!this.settings.mayFail) throw error;
    }
  }

  clientFact(name: string): unknown {
    return this.graph.has('client') ? this.graph.get('client').stats.fact(name) : undefined;
  }

  loggerFact(name: string): unknown {
    return this.graph.get('logger').stats.fact(name);
  }

  setLoggerParam(name: string, value: unknown): void {
    this.graph.setParam('logger', name, value);
  }

  async stop(): Promise<void> {
    const { graph } = this;
    this.isStopping = true;
    await this.jobs;
    await graph.release('client');
    await graph.release('logger');
    await this.jobs;
    const below = [...this.slots.filter((slot) => slot !== null), 'data'];
    for (const name of below) await graph.release(name);
    for (const name of ['client', 'logger', ...below]) await graph.destroy(name);
  }

  private async wireLog(serial: number, nr: number): Promise<void> {
    const name = `log-${serial}`;
    if (!this.graph.has(name)) this.graph.add(name, 'aio', { path: this.pathOf(serial) });
    await this.graph.press(name);
    this.graph.connect({ consumer: 'logger', input: 'log', nr }, name);
    this.slots[nr] = name;
    this.serial = serial;
  }

  private loggerHasReported(value: unknown): void {
    const [serial, posBytes, dirtyBytes] = String(value).split(',').map(Number) as [number, number, number];
    const before = this.published;
    if (serial === before.serial && posBytes === before.posBytes && dirtyBytes === before.dirtyBytes) return;
    const next = { serial, posBytes, dirtyBytes };
    this.jobs = this.jobs.then(async () => {
      if (serial === this.published.serial) return this.setLink(next);
      await this.publish(next);
      await this.dropIdleSlots();
    });
    // An error in it fails the world, as it does in every other code of the host.
    this.host.run(() => this.jobs);
  }

  /** A log that the logger does not need any more leaves its slot. */
  private async dropIdleSlots(): Promise<void> {
    const { graph } = this;
    const current = `log-${this.serial}`;
    for (const [nr, name] of this.slots.entries()) {
      if (name === null || name === current || !graph.get('logger').slotIdle('log', nr)) continue;
      await graph.disconnect({ consumer: 'logger', input: 'log', nr });
      await graph.release(name);
      await graph.destroy(name);
      this.slots[nr] = null;
    }
  }

  private watchSize(): void {
    const { host, settings } = this;
    if (settings.rotateBytes === 0) return;
    host.loop.after(5, null, () => {
      if (!this.graph.has('logger')) return;
      if ((this.sizeOf(this.serial) ?? 0) >= settings.rotateBytes) host.run(() => this.rotateIfPossible());
      this.watchSize();
    });
  }

  // -------------------------------------------------------------------------------------------------------------- files

  private async createLog(serial: number): Promise<number> {
    const { files } = this.host;
    if (this.sizeOf(serial) === null) {
      const file = await files.open(this.pathOf(serial), { write: true, create: true, exclusive: true });
      await files.sync(file, { metadata: true });
      await files.close(file);
    }
    await files.syncDir(this.places.logs);
    return serial;
  }

  private async publish(next: Published): Promise<void> {
    this.setLink(next);
    await this.host.files.syncDir(this.places.logs);
  }

  private setLink(next: Published): void {
    const { files } = this.host;
    const { logs, host } = this.places;
    const temporary = `${logs}/.tmp-${this.host.life.number}-${++this.temporary}`;
    files.symlink(`${logName(next.serial, host)},${next.posBytes},${next.dirtyBytes}`, temporary);
    files.rename(temporary, `${logs}/replay-${host}`);
    this.published = next;
  }

  private sizeOf(serial: number): number | null {
    return this.host.files.stat(this.pathOf(serial))?.sizeBytes ?? null;
  }

  private pathOf(serial: number): string {
    return `${this.places.logs}/${logName(serial, this.places.host)}`;
  }

  private dataParams(): Record<string, unknown> {
    const { places, deviceBytes } = this.settings;
    if (places.data.startsWith('/dev/')) return { path: places.data };
    return { path: places.data, create: true, size: deviceBytes, grow: false };
  }

  private get places(): LoggerPlaces {
    return this.settings.places;
  }
}

/** Serial numbers of the logfiles in a directory, ascending. */
export function serialsIn(names: readonly string[]): number[] {
  return names
    .map(serialFrom)
    .filter((serial) => serial !== null)
    .sort((a, b) => a - b);
}

function stuck(what: string): MarsError {
  return new MarsError(ErrorCode.START_FAILED, `recovery cannot go on: ${what}`, {
    hint: 'In a simulation without damage this must never happen.',
  });
}
