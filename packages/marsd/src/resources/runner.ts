import { ErrorCode, MarsError, causeText, type Logger } from '@mars/brick-core';
import {
  INT,
  LOG,
  paths,
  publishProgress,
  publishSyncEnd,
  switchToLog,
  type LamportClock,
  type LogName,
  type TreeStore,
} from '@mars/mars-tree';
import {
  planResource,
  type CopyOrder,
  type Damage,
  type LogEnd,
  type LogStep,
  type PeerFacts,
  type ResourceFacts,
  type ResourcePlan,
} from '@mars/strategy';
import { lookAtEnd } from '../log-keeper/log-end.js';
import { CopyJob } from './copies.js';
import { Indicators } from './indicators.js';
import { DISK_PORT, LOG_PORT, LOOK_AT_DISK_MS, PUBLISH_INTERVAL_MS, RETRY_FIRST_MS, RETRY_LAST_MS } from './limits.js';
import { LoggerJob, type LoggerPosition } from './logger-job.js';
import { ResourceLogs } from './resource-logs.js';
import type { JobHouse } from './stack-job.js';

/** What a runner asks of the daemon. */
export interface RunnerHouse extends JobHouse {
  store: TreeStore;
  lamport: LamportClock;
  log: Logger;
  /** Root of the tree on disk. */
  mars: string;
  /** Directory of the NBD sockets. */
  socketDir: string;
  peersOf(resource: string): PeerFacts[];
  /** `IP:PORT` of a peer; null = no network, or no address. */
  addressOf(peer: string, portOffset: number): string | null;
  notifyPeers(): void;
  logGrew(resource: string, log: string): void;
  situation(): Pick<
    ResourceFacts,
    'isRunning' | 'aliveWindowNs' | 'syncLimit' | 'syncsRunning' | 'emergencyLevel' | 'rotateBytes'
  > & { acceptsDamage: boolean; uptimeMs: number; unreachableAfterMs: number };
}

/**
 * One resource on this host: asks what should be (`planResource`), does one step after the other, and publishes what is.
 *
 * ```
 *   tree + own facts ──planResource──> plan ──> logger job, fetch, sync, steps on logs
 *                                          └──> links: replay, version, syncstatus, leds, messages
 * ```
 * Nothing here decides; and nothing is remembered that could not be found again after a restart, but for what saves work.
 */
export class ResourceRunner {
  readonly logs: ResourceLogs;
  private readonly fetch: CopyJob;
  private readonly sync: CopyJob;
  private readonly indicators: Indicators;
  private logger: LoggerJob | null = null;
  private end: { log: string; end: LogEnd } | null = null;
  private damage: Damage | null = null;
  /** Defect that a fresh copy was fetched for. */
  private refetched: { log: string; atPos: number } | null = null;
  private incomplete: { log: string; bytes: number } | null = null;
  private syncEnded: { stampNs: bigint; statusWas: number } | null = null;
  private syncSinceUs = 0;
  private isReplaysTurn = false;
  private wasPrimary = false;
  /** Number of the version link that was written last; 0 = none yet (symlink-tree.md 5.4). */
  private publishedSequence = 0;
  private publishedUs = -Infinity;
  private published = '';
  private failures = 0;
  private retryAtUs = 0;
  private disk: DiskFacts | null = null;
  private closingLogger: Promise<void> | null = null;
  private acting: Promise<void> | null = null;
  private extra: { key: string; text: string }[] = [];

  constructor(
    readonly resource: string,
    private readonly house: RunnerHouse,
  ) {
    this.logs = new ResourceLogs(house.files, `${house.mars}/${paths.resource(resource)}`);
    this.fetch = new CopyJob(house, 'resource-fetch', resource);
    this.sync = new CopyJob(house, 'resource-sync', resource);
    this.indicators = new Indicators(house.store, house.lamport, house.loop, resource);
  }

  get isIdle(): boolean {
    return this.logger === null && !this.fetch.isOpen && !this.sync.isOpen && this.acting === null;
  }

  get isSyncing(): boolean {
    return this.sync.isOpen;
  }

  get openCount(): number {
    return this.logger?.openCount ?? 0;
  }

  /** One round: plan, act, publish. Steps that take long go on beside it. */
  async round(): Promise<void> {
    const { store } = this.house;
    await this.settleLogs();
    this.noteProgress();
    await this.publishPosition(false);
    const facts = this.facts();
    const plan = planResource({ tree: store.snapshot, facts });
    if (!plan.isMine && this.isIdle) return;
    this.act(plan);
    await this.publishSync(plan, facts);
    this.indicators.write({
      plan,
      facts,
      isAttached: this.isAttached(plan),
      codeText: this.logger?.codeText ?? '0',
      fetchRate: this.fetch.rateBytes,
      syncRate: this.sync.rateBytes,
      messages: [...plan.messages, ...this.extra],
    });
  }

  /** Everything off, in order; for the end of the daemon. */
  async close(): Promise<void> {
    await Promise.all([this.fetch.close(), this.sync.close()]);
    await this.closeLogger();
    await this.acting;
  }

  /** Durable size for peers; null = not to be announced. */
  durableBytes(log: LogName): number | null {
    return this.logs.durableBytes(log);
  }

  // ------------------------------------------------------------------------------------------------------------- facts

  /** A log that nobody has made durable since this process runs counts only when it is. */
  private async settleLogs(): Promise<void> {
    for (const log of this.logs.list()) {
      if (this.logs.durableBytes(log) === null && !this.isWritten(log)) await this.logs.makeDurable(log);
    }
  }

  private isWritten(log: LogName): boolean {
    const { facts } = this.fetch;
    const isFetched = facts?.log != null && sameLog(facts.log, log);
    const logging = this.logger?.facts;
    return isFetched || (logging?.mode === 'logging' && logging.logs.some((one) => sameLog(one, log)));
  }

  private noteProgress(): void {
    const grown = this.logger?.noteDurable() ?? null;
    if (grown !== null) this.house.logGrew(this.resource, LOG.format(grown));
    const { facts } = this.fetch;
    if (
      facts?.log != null &&
      this.logs.note(facts.log, Math.max(facts.copiedBytes, this.logs.durableBytes(facts.log) ?? 0))
    )
      this.house.logGrew(this.resource, LOG.format(facts.log));
    this.noteSync();
  }

  private noteSync(): void {
    const { house } = this;
    const { facts } = this.sync;
    const status = house.store.snapshot.read(paths.syncStatus(this.resource, house.store.me), INT) ?? 0;
    // Somebody has set it back (invalidate): the copy counts no more.
    if (this.syncEnded !== null && status !== this.syncEnded.statusWas) this.syncEnded = null;
    if (facts === null || this.syncEnded !== null) return;
    if (facts.phase !== 'finished' || facts.copiedBytes < facts.endBytes) return;
    this.syncEnded = { stampNs: house.lamport.now(), statusWas: status };
    house.notifyPeers();
  }

  private facts(): ResourceFacts {
    const { house, resource } = this;
    const { snapshot, me } = house.store;
    const { uptimeMs, unreachableAfterMs, ...situation } = house.situation();
    const peers = house.peersOf(resource);
    const replay = snapshot.value(paths.replay(resource, me))?.split(',')[0] ?? '';
    const isDesignated = snapshot.primary(resource) === me;
    return {
      resource,
      me,
      ...situation,
      mayTakeRoles: this.wasPrimary || uptimeMs >= unreachableAfterMs || peers.every((peer) => peer.isMerged),
      realNs: house.lamport.realNs(),
      peers,
      logs: this.logs.list().flatMap((log) => {
        const sizeBytes = this.logs.durableBytes(log);
        return sizeBytes === null ? [] : [{ ...log, sizeBytes }];
      }),
      end: this.end?.log === replay ? this.end.end : null,
      damage: this.damage,
      incompleteAtBytes: this.incomplete?.log === replay ? this.incomplete.bytes : null,
      logger: this.logger?.facts ?? null,
      fetch: this.fetch.facts,
      sync: this.sync.facts,
      diskBytes: this.diskFacts().bytes,
      diskError: this.diskFacts().error,
      deviceIsOn: this.logger !== null && this.logger.isLogging && this.logger.isOn,
      openCount: this.openCount,
      syncEndedNs: this.syncEnded?.stampNs ?? null,
      isReplaysTurn: this.isReplaysTurn,
      acceptsDamage: situation.acceptsDamage || (isDesignated && !snapshot.isOn(resource, me, 'connect')),
      wasPrimary: this.wasPrimary,
    };
  }

  private diskFacts(): { bytes: number | null; error: string | null } {
    const { store } = this.house;
    const path = store.snapshot.value(paths.data(this.resource, store.me));
    if (path === null) return { bytes: null, error: null };
    const { nowUs } = this.house.loop;
    if (this.disk?.path !== path) this.disk = { path, bytes: null, error: null, lookedUs: -Infinity };
    const { disk } = this;
    // It may grow at any time (resize), and nobody tells.
    if (nowUs - disk.lookedUs >= LOOK_AT_DISK_MS * 1000) {
      disk.lookedUs = nowUs;
      void this.lookAtDisk(disk);
    }
    return disk;
  }

  private async lookAtDisk(disk: DiskFacts): Promise<void> {
    const { files } = this.house;
    const before = disk.bytes;
    try {
      const file = await files.open(disk.path, {});
      disk.bytes = files.size(file);
      disk.error = null;
      await files.close(file);
    } catch (error) {
      disk.bytes = null;
      disk.error = causeText(error);
    }
    if (disk.bytes !== before) this.house.changed();
  }

  private isAttached(plan: ResourcePlan): boolean {
    const isInUse = this.logger !== null || this.sync.isOpen;
    return isInUse || (plan.exportsDisk && this.disk?.bytes != null);
  }

  // --------------------------------------------------------------------------------------------------------------- acts

  private act(plan: ResourcePlan): void {
    const { house } = this;
    this.followCopies(plan);
    if (plan.stopLogger) void this.closeLogger();
    else if (this.logger?.job.failure != null) void this.closeLogger();
    if (this.acting !== null) return;
    if (this.logger !== null) {
      if (plan.createNext !== null) this.run(() => this.createNext(plan.createNext!));
      else if (plan.openLogs !== null) this.run(() => this.logger!.follow(plan.openLogs!, this.sizeBytes()));
      return;
    }
    if (plan.step === null || house.loop.nowUs < this.retryAtUs || this.closingLogger !== null) return;
    const { step } = plan;
    this.run(() => this.perform(step));
  }

  private followCopies(plan: ResourcePlan): void {
    const { house, resource } = this;
    const { snapshot, me } = house.store;
    const disk = snapshot.value(paths.data(resource, me));
    this.fetch.follow(plan.fetch, ({ peer, log, fromBytes, toBytes }) => {
      const address = house.addressOf(peer, LOG_PORT);
      if (address === null || log === null) return null;
      const name = LOG.format(log);
      return {
        peer,
        address,
        export: `log:${resource}:${name}`,
        path: this.logs.pathOf(log),
        start: fromBytes,
        end: toBytes,
      };
    });
    if (!this.sync.isOpen) this.syncSinceUs = house.loop.nowUs;
    this.sync.follow(plan.sync, (order: CopyOrder) => {
      const address = house.addressOf(order.peer, DISK_PORT);
      if (address === null || disk === null) return null;
      return {
        peer: order.peer,
        address,
        export: `disk:${resource}`,
        disk,
        start: order.fromBytes,
        end: order.toBytes,
      };
    });
  }

  /** One thing at a time; a failure waits a little longer each time. */
  private run(work: () => Promise<void>): void {
    this.acting = work()
      .then(
        () => void (this.failures = 0),
        (error: unknown) => this.workFailed(error),
      )
      .finally(() => {
        this.acting = null;
        this.house.changed();
      });
  }

  private workFailed(error: unknown): void {
    const pauseMs = Math.min(RETRY_LAST_MS, RETRY_FIRST_MS * 2 ** this.failures++);
    this.retryAtUs = this.house.loop.nowUs + pauseMs * 1000;
    this.extra = [{ key: 'err-replay-stop', text: causeText(error) }];
    this.house.log.error({ resource: this.resource, err: error }, 'a step of a resource failed; it is tried again');
    this.house.loop.after(pauseMs, undefined, () => this.house.changed());
  }

  private async perform(step: LogStep): Promise<void> {
    this.extra = [];
    switch (step.do) {
      case 'look':
        return this.look(step);
      case 'replay':
        return this.startReplay(step);
      case 'cut':
        await this.logs.cut(step.log, step.atPos);
        this.end = null;
        return this.setPosition({ log: step.log, posBytes: step.atPos, dirtyBytes: 0, lengthBytes: step.atPos });
      case 'create':
        return this.logs.create(step.log);
      case 'switch':
        return this.switchTo(step);
      case 'log':
        return this.startLogging(step.log);
      case 'fetch-again':
        return this.fetchAgain(step.log, step.atPos);
    }
  }

  private async look({ log, fromPos, dirtyEnd }: LogStep & { do: 'look' }): Promise<void> {
    await this.logs.makeDurable(log);
    const end = await lookAtEnd(this.house.files, this.logs.pathOf(log), { fromPos, dirtyEnd });
    this.end = { log: LOG.format(log), end };
  }

  private async startReplay(step: LogStep & { do: 'replay' }): Promise<void> {
    this.logger = LoggerJob.replay(this.house, this.resource, this.diskPath(), this.logs, step);
    await Promise.resolve();
  }

  private async startLogging(log: LogName): Promise<void> {
    const { store, files, socketDir } = this.house;
    const name = store.snapshot.value(paths.device(this.resource, store.me)) ?? this.resource;
    files.makeDir(socketDir, { recursive: true, mode: 0o700 });
    const orders = { disk: this.diskPath(), size: this.sizeBytes(), name, socket: `${socketDir}/${name}.sock` };
    this.wasPrimary = true;
    this.logger = LoggerJob.logging(this.house, this.resource, this.logs, log, orders);
    await Promise.resolve();
  }

  private async createNext(log: LogName): Promise<void> {
    await this.logs.create(log);
    const { store } = this.house;
    const maxnr = store.snapshot.read(paths.maxnr(this.resource), INT) ?? 0;
    if (log.sequence > maxnr)
      this.house.log.info({ resource: this.resource, log: LOG.format(log) }, 'automatic rotation');
    await store.sync([paths.replay(this.resource, store.me)]);
  }

  private async switchTo({ log, closing }: LogStep & { do: 'switch' }): Promise<void> {
    if (closing !== null) await this.setPosition({ ...closing, posBytes: closing.lengthBytes, dirtyBytes: 0 });
    await switchToLog(this.house.store, this.resource, log);
    this.publishedSequence = log.sequence;
    this.published = '';
    this.end = null;
    this.damage = null;
    this.refetched = null;
    this.incomplete = null;
    this.house.notifyPeers();
  }

  private async fetchAgain(log: LogName, atPos: number): Promise<void> {
    await this.fetch.close();
    this.house.log.warn(
      { resource: this.resource, log: LOG.format(log), atPos },
      'a defective log is fetched again from the defect on',
    );
    await this.logs.cut(log, atPos);
    this.refetched = { log: LOG.format(log), atPos };
    this.damage = null;
  }

  private async closeLogger(): Promise<void> {
    const { logger } = this;
    if (logger === null) return;
    this.closingLogger ??= logger.close().then(async () => {
      this.noteProgress();
      await this.publishPosition(true);
      if (!logger.isLogging) await this.replayEnded(logger);
      this.logger = null;
      this.end = null;
      this.closingLogger = null;
      this.house.notifyPeers();
      this.house.changed();
    });
    await this.closingLogger;
  }

  /** What the end of a replay means for the next one. Source: transaction-log.md 3.1, 3.3 */
  private async replayEnded(logger: LoggerJob): Promise<void> {
    const { facts } = logger;
    if (facts.mode !== 'replay') return;
    const { log, code, pos, toPos, failure } = facts;
    const name = LOG.format(log);
    this.isReplaysTurn = false;
    if (failure !== null) {
      this.workFailed(new MarsError(ErrorCode.REPLAY_FAILED, failure));
      return;
    }
    if (code === 1)
      return this.setPosition({
        log,
        posBytes: toPos,
        dirtyBytes: 0,
        lengthBytes: Math.max(toPos, this.logs.durableBytes(log) ?? 0),
      });
    if (code === 2) this.incomplete = { log: name, bytes: toPos };
    if (code >= 0) return;
    const wasFetchedAgain = this.refetched?.log === name && this.refetched.atPos === pos;
    const isOwn = log.host === this.house.store.me;
    this.damage = { log, atPos: pos, code, wasFetchedAgain: wasFetchedAgain || isOwn };
    this.house.log.error(
      { resource: this.resource, log: name, atPos: pos, code: logger.codeText },
      'replay stopped at a defect',
    );
  }

  private sizeBytes(): number {
    return this.house.store.snapshot.read(paths.size(this.resource), INT) ?? 0;
  }

  private diskPath(): string {
    const { store } = this.house;
    const path = store.snapshot.value(paths.data(this.resource, store.me));
    if (path !== null) return path;
    throw new MarsError(ErrorCode.BAD_PARAMETER, `resource ${this.resource} has no disk on this host`);
  }

  // ------------------------------------------------------------------------------------------------------------ publishing

  /** Positions that move all the time are published now and then; at switch points at once. Source: symlink-tree.md 5.5 */
  private async publishPosition(isForced: boolean): Promise<void> {
    const position = this.logger?.position ?? null;
    if (position === null) return;
    const text = JSON.stringify(position);
    const isDue = this.house.loop.nowUs - this.publishedUs >= PUBLISH_INTERVAL_MS * 1000;
    const isSwitch = position.log.sequence !== this.publishedSequence || position.dirtyBytes === 0;
    if (text === this.published || !(isForced || isDue || isSwitch)) return;
    await this.setPosition(position);
    this.published = text;
    this.publishedUs = this.house.loop.nowUs;
  }

  private async setPosition(position: LoggerPosition): Promise<void> {
    const { store } = this.house;
    const { sequence } = position.log;
    const known = this.publishedSequence;
    const skip = store.snapshot.value(paths.skipCheck(this.resource, store.me));
    if (
      sequence > 1 &&
      known !== 0 &&
      sequence !== known &&
      sequence !== known + 1 &&
      Number.parseInt(skip ?? '', 10) !== sequence
    ) {
      this.extra = [{ key: 'err-versionlink-skip', text: `from log number ${known} to ${sequence}` }];
      return;
    }
    const isNew = await publishProgress(store, { resource: this.resource, ...position }, known);
    this.publishedSequence = sequence;
    if (isNew && store.snapshot.primary(this.resource) === store.me) this.house.notifyPeers();
  }

  private async publishSync(plan: ResourcePlan, facts: ResourceFacts): Promise<void> {
    const { store } = this.house;
    const status = paths.syncStatus(this.resource, store.me);
    if (plan.finishSync !== null) {
      const { position, sizeBytes } = plan.finishSync;
      await this.sync.close();
      await publishSyncEnd(store, { resource: this.resource, primaryPosition: position, sizeBytes });
      this.syncEnded = null;
      this.house.notifyPeers();
      return;
    }
    const { sync } = facts;
    if (sync === null || this.syncEnded !== null) return;
    // The last byte is published only with the position that belongs to it.
    if (sync.copiedBytes < sync.endBytes) {
      store.writeIfChanged(status, INT.format(sync.copiedBytes));
      store.writeIfChanged(`resource-${this.resource}/verifystatus-${store.me}`, this.sync.verify);
    }
    const hasRunMs = (this.house.loop.nowUs - this.syncSinceUs) / 1000;
    if (hasRunMs >= FLIP_MS && this.hasReplayWork(facts)) this.isReplaysTurn = true;
  }

  private hasReplayWork({ logs, me, resource }: ResourceFacts): boolean {
    const replay = this.house.store.snapshot.value(paths.replay(resource, me));
    const [name, pos] = replay?.split(',') ?? [];
    const log = logs.find((one) => LOG.format(one) === name);
    return log !== undefined && log.sizeBytes > Number(pos);
  }
}

/** What is known about the underlying disk. */
interface DiskFacts {
  path: string;
  bytes: number | null;
  error: string | null;
  lookedUs: number;
}

/** sync_flip_interval_sec (symlink-tree.md 6.6). */
const FLIP_MS = 60_000;

function sameLog(one: LogName, other: LogName): boolean {
  return one.sequence === other.sequence && one.host === other.host;
}
