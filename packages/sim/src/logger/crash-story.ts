import type { SeededRandom } from '@mars/brick-core';
import { noLeaks } from '../checkers.js';
import type { SimHost } from '../world/host.js';
import type { CrashKind } from '../world/life.js';
import type { World } from '../world/world.js';
import { DiskWatch } from './disk-watch.js';
import type { JudgedClient } from './if-judged.js';
import type { Keeper, LoggerSettings, RunningLogger } from './keeper.js';
import { violation } from './violation.js';

export interface CrashStoryOptions {
  keeper: Keeper;
  /** Called in every life before the keeper, for services that only this story has. */
  prepare?: (host: SimHost) => void;
  /** Changes what was drawn. */
  settings?: (drawn: LoggerSettings, random: SeededRandom) => void;
  crashes?: number;
  /** Length of every life, ms; default: drawn. */
  lifeMs?: number;
  /**
   * Called whenever the device has come up: puts faults into the disk, which are gone after the next crash. Clients are told of errors, then,
   * and a log that does not work is followed by a fresh one after a while.
   */
  trouble?: (host: SimHost, random: SeededRandom) => void;
}

/** What a story has seen, so that tests can tell that it looked at anything at all. */
export interface StoryReport {
  counts: LoggerCounts;
  rotations: number;
  lives: number;
}

type LoggerCounts = DiskWatch['judge']['counts'];

const LOGS = '/mars/resource-r';
/** States of a logger whose log does not work: only a fresh log helps. */
const HELD = ['held', 'failing'];
/** A device that recovers or stops longer than that has stopped for good. */
const PATIENCE = { maxVirtualMs: 60_000, maxEvents: 400_000 } as const;
/** Crash points of logger and replay; a name that nobody reaches any more is found by the test of the scenario. */
export const LOGGER_CRASH_POINTS = [
  'logger.before-append',
  'logger.after-append',
  'logger.before-sync',
  'logger.after-sync',
  'logger.before-answer',
  'logger.before-writeback',
  'logger.before-publish',
  'replay.before-write',
  'replay.after-flush',
  'replay.before-publish',
] as const;

/**
 * A logged device under load whose host dies again and again, at any event, with any part of what was not synced lost or torn;
 * also while it recovers, and while it rotates. A {@link LoggerJudge} sees everything. At the end it is stopped cleanly and started once
 * more, and must have nothing to replay.
 */
export async function playCrashStory(world: World, options: CrashStoryOptions): Promise<StoryReport> {
  const story = new CrashStory(world, options);
  const crashes = options.crashes ?? 2 + world.random.int(4);
  for (let i = 0; i < crashes; i++) await story.liveAndDie();
  await story.end();
  return story.report();
}

class CrashStory {
  private readonly host: SimHost;
  private readonly watch: DiskWatch;
  private readonly client: JudgedClient;
  private readonly settings: LoggerSettings;
  private running: RunningLogger | null = null;
  private rotations = 0;
  private disarm: () => void = () => {};
  private isEnding = false;
  /** The faults of this life have been put in. */
  private isInTrouble = false;

  constructor(
    private readonly world: World,
    private readonly options: CrashStoryOptions,
  ) {
    const { random } = world;
    this.settings = drawSettings(random);
    this.settings.mayFail = options.trouble !== undefined;
    options.settings?.(this.settings, random);
    const { places, deviceBytes } = this.settings;
    this.host = world.addHost('a', {
      disk: { journal: random.int(2) === 0 ? 'journal' : 'posix' },
      boot: (host) => this.boot(host),
    });
    this.host.disk.addDevice('vda', deviceBytes);
    this.watch = new DiskWatch(this.host, places, deviceBytes);
    this.client = { judge: this.watch.judge, needsSurvey: true, onWrong: (error) => world.fail(error) };
  }

  async liveAndDie(): Promise<void> {
    const { world, host } = this;
    const { random } = world;
    // Short lives hit the recovery, long ones the work.
    const untilMs = world.nowMs + (this.options.lifeMs ?? random.float() * [1, 5, 25, 60][random.int(4)]!);
    const kind: CrashKind = random.int(3) === 0 ? 'process' : 'power';
    if (this.options.lifeMs === undefined) this.armCrash(kind);
    await world.run({
      until: () => !host.isUp || world.nowMs >= untilMs || this.mayRotate(),
      ...PATIENCE,
    });
    while (host.isUp && world.nowMs < untilMs) {
      await this.rotate();
      await world.run({
        until: () => !host.isUp || world.nowMs >= untilMs || this.mayRotate(),
        ...PATIENCE,
      });
    }
    await this.die(kind);
  }

  /** The rest of the story: recovery, some work, a clean stop, and a start that finds nothing to do. */
  async end(): Promise<void> {
    const { world } = this;
    this.isEnding = true;
    if (this.options.trouble !== undefined) await this.die('power');
    await this.settle();
    await world.advance(world.random.float() * 30);
    await this.stopCleanly();
    const kind = world.random.int(2) === 0 ? 'power' : 'process';
    await this.die(kind);
    const { counts } = this.watch.judge;
    const before = counts.dataSectors;
    await this.settle();
    // A power cut may take the last link, which is harmless.
    if (kind === 'process' && counts.dataSectors > before) throw violation(3, 'a clean stop left something to replay');
    await this.stopCleanly();
  }

  report(): StoryReport {
    return { counts: this.watch.judge.counts, rotations: this.rotations, lives: this.host.starts };
  }

  private async boot(host: SimHost): Promise<void> {
    this.running = null;
    this.options.prepare?.(host);
    host.files.makeDir(LOGS, { recursive: true });
    for (const dir of ['/', '/mars', LOGS]) await host.files.syncDir(dir);
    const { life } = host;
    try {
      this.running = await this.options.keeper(host, this.clientOfThisLife(), this.client);
    } catch (error) {
      // What a dying host says about itself is of no interest, in whatever words it says it.
      if (!life.isOver) throw error;
    }
  }

  /** Every life has a workload of its own. */
  private clientOfThisLife(): LoggerSettings {
    const { random } = this.world;
    const client = {
      ...this.settings.client,
      depth: 1 + random.int(16),
      span: ['4K', '16K', 0][random.int(3)]!,
      flush: random.int(3) * 6,
      fua: [0, 10, 50][random.int(3)]!,
      pause: random.int(2) * 3,
      errors: this.options.trouble !== undefined && !this.isEnding,
      seed: random.int(1e6),
    };
    return { ...this.settings, client };
  }

  private armCrash(kind: CrashKind): void {
    const { world, host } = this;
    const { random } = world;
    const choice = random.int(3);
    if (choice === 0) return;
    if (choice === 1) {
      const point = LOGGER_CRASH_POINTS[random.int(LOGGER_CRASH_POINTS.length)]!;
      this.disarm = world.crashAt({ host: 'a', point, hit: 1 + random.int(20), kind });
      return;
    }
    const ops = [['write'], ['sync'], ['sync-dir', 'truncate'], ['meta']] as const;
    const fault = host.disk.fault({ on: ops[random.int(ops.length)]!, nth: 1 + random.int(40), crash: kind });
    this.disarm = () => fault.release();
  }

  private mayRotate(): boolean {
    if (this.running === null) return false;
    if (!this.isInTrouble && !this.client.needsSurvey) {
      this.isInTrouble = true;
      this.options.trouble?.(this.host, this.world.random);
    }
    const isHeld = HELD.includes(String(this.running.loggerFact('state')));
    return this.world.random.int(isHeld ? 100 : 400) === 0;
  }

  private async rotate(): Promise<void> {
    this.rotations++;
    const { running, host, options } = this;
    const { life } = host;
    host.run(() =>
      running!.rotate().catch((error: unknown) => {
        if (options.trouble === undefined && !life.isOver) throw error;
      }),
    );
    await this.world.run({ until: () => true });
  }

  private async die(kind: CrashKind): Promise<void> {
    const { world, host } = this;
    host.crash(kind);
    this.disarm();
    host.disk.faults.clear();
    this.isInTrouble = false;
    this.running = null;
    // What a failed sync has lost stands in the page cache until that forgets it, and no later process can know.
    if (this.options.trouble !== undefined) this.watch.evict();
    this.watch.crashed();
    this.client.needsSurvey = true;
    await world.advance(world.random.float() * 3);
    host.restart();
  }

  /** Waits until the device is up and was read back. */
  private async settle(): Promise<void> {
    const isDone = (): boolean => this.running !== null && !this.client.needsSurvey;
    await this.world.run({ until: isDone, ...PATIENCE });
  }

  private async stopCleanly(): Promise<void> {
    const { world, host } = this;
    await world.drive(this.running!.stop(), { ...PATIENCE });
    this.watch.judge.stoppedCleanly();
    noLeaks(host);
  }
}

function drawSettings(random: SeededRandom): LoggerSettings {
  const deviceBytes = [64, 256, 512][random.int(3)]! * 1024;
  const logger: Record<string, unknown> = {
    'record-bytes': [4096, 8192, 32256][random.int(3)]!,
    'memory-limit': ['1M', '4M', '64M'][random.int(3)]!,
    'sync-after': ['1ms', '10ms', '2s'][random.int(3)]!,
    'report-interval': ['1ms', '5ms', '50ms'][random.int(3)]!,
    'writeback-maxage': ['5ms', '100ms', '900s'][random.int(3)]!,
    'unsynced-cap': ['64K', '1M', '8M'][random.int(3)]!,
    compression: random.int(4) === 0 ? 'lz4' : 'none',
    'completion-semantics': [1, 1, 1, 2, 0][random.int(5)]!,
  };
  const client = { longest: ['4K', '16K', '64K'][random.int(3)]!, rest: '30ms' };
  const places = { logs: LOGS, data: '/dev/vda', host: 'a' };
  return {
    places,
    deviceBytes,
    logger,
    client,
    rotateBytes: [0, 32 * 1024, 200 * 1024][random.int(3)]!,
    mayFail: false,
  };
}
