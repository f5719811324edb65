import { EINVAL, ErrorCode, MarsError, isMarsError, type Clock, type Files, type Logger } from '@mars/brick-core';
import {
  INT,
  LamportClock,
  TreeStore,
  TreeWatch,
  paths,
  removeStaleTemporaries,
  takeOverOldTree,
  type TreeSnapshot,
} from '@mars/mars-tree';
import { serveControlFiles, type ControlFiles, type ControlServer } from '@mars/platform';
import { controlDirectory } from './control-directory.js';
import type { DaemonStatus } from './control-socket.js';
import { hostTunables, type HostTunables } from './host-tunables.js';
import { COLLECT_PERIOD_MS, REMOUNT_PAUSE_MS, TRIGGER_SETTLE_MS } from './limits.js';
import { cannot, checkMachine, type MachineFacts } from './machine-checks.js';
import type { DaemonNetwork } from './network.js';
import { nodeStatus } from './node-status.js';
import { Rounds } from './rounds.js';
import type { Settings } from './settings.js';
import { gibOf, judgeSpace, nextLevel, type EmergencyLevel } from './space.js';
import {
  TRIGGER_FETCH,
  TRIGGER_FULL,
  TRIGGER_LOCAL,
  TRIGGER_NOTIFY_ACTIVE,
  TRIGGER_NOTIFY_ALL,
  parseTrigger,
} from './trigger.js';
import { VERSION } from './version.js';

const GIB = 2 ** 30;

export interface DaemonOptions {
  settings: Settings;
  pid: number;
  files: Files;
  clock: Clock;
  log: Logger;
  machine: MachineFacts;
  /** Called before the tree is touched. @throws MarsError DAEMON_RUNS: another process holds it */
  lockTree: () => void;
  /** Instead of the machine's own way to serve control files (simulations). */
  serveControl?: typeof serveControlFiles;
  /** Made when the tree is loaded; not yet started. */
  makeNetwork(parts: { store: TreeStore; lamport: LamportClock; notified: (peer: string) => void }): DaemonNetwork;
}

/**
 * The daemon of one host: the tree, its watch, the main loop, the control files, the network. What belongs to resources is added as
 * steps of the loop ({@link Daemon.rounds}), control files ({@link Daemon.files}) and {@link Daemon.openDevices}.
 *
 * ```
 *   machine ok? ─> tree loaded ─> old things settled ─> watch ─> network ─> first round ─> control files = "loaded"
 *   last round (alive = 0) ─> network ─> control files gone ─> watch
 * ```
 * Source: symlink-tree.md 6.1, 7
 */
export class Daemon {
  readonly lamport: LamportClock;
  readonly store: TreeStore;
  readonly rounds: Rounds;
  readonly tunables: HostTunables;
  readonly files: ControlFiles;
  /** Names of devices that somebody has open; whoever serves devices adds one. */
  readonly openDevices: (() => string[])[] = [];
  private readonly settings: Settings;
  private readonly log: Logger;
  private readonly clock: Clock;
  private readonly watch: TreeWatch;
  private network: DaemonNetwork | null = null;
  private control: ControlServer | null = null;
  private isStopping = false;
  private startedUs = 0;
  private collectedUs = 0;
  private unsubscribe: () => void = () => {};

  constructor(private readonly options: DaemonOptions) {
    const { settings, files, clock, log } = options;
    this.settings = settings;
    this.log = log;
    this.clock = clock;
    this.lamport = new LamportClock(clock);
    this.store = new TreeStore({ files, clock: this.lamport, root: settings.mars, me: settings.host, log });
    this.watch = new TreeWatch({ store: this.store, files, clock });
    this.tunables = hostTunables(this.lamport, settings.port);
    this.tunables.all.apply(settings.tunables);
    this.rounds = new Rounds(clock, log, () => this.tunables.scanInterval.value * 1000);
    this.rounds.add({ name: 'settings', run: () => this.followSettings() });
    this.rounds.add({ name: 'trust', run: () => this.network?.round() });
    this.rounds.add({ name: 'status', run: () => this.writeStatus() });
    this.rounds.add({ name: 'tombstones', run: () => this.collect() });
    this.files = controlDirectory({
      clock: this.lamport,
      tunables: this.tunables,
      log,
      info: () => this.info(),
      peers: () => this.network?.peersText() ?? '',
      trigger: (text) => this.trigger(text),
    });
  }

  /** @throws MarsError DAEMON_CANNOT_START, FILE_IO; then nothing is left open */
  async start(): Promise<void> {
    const { settings, options, log, store } = this;
    await checkMachine(settings, { files: options.files, clock: this.clock, log, machine: options.machine });
    options.lockTree();
    this.checkSpace();
    for (const _portion of store.loading()) await this.clock.sleep(0);
    this.settleTree();
    this.watch.start();
    this.startedUs = this.clock.nowUs;
    this.unsubscribe = store.subscribe((before, after) => this.changed(before, after));
    try {
      this.network = options.makeNetwork({ store, lamport: this.lamport, notified: () => this.rounds.request() });
      await this.network.start();
      const first = this.rounds.next();
      this.rounds.start();
      await first;
      await this.serveControl();
    } catch (error) {
      await this.stop();
      throw error;
    }
    log.info({ mars: settings.mars, network: this.network.describe() }, 'the daemon runs');
  }

  /** @throws MarsError DEVICE_IN_USE: then everything goes on. Source: decided.md, *Paths and environment* */
  checkStop(): void {
    const open = this.opened();
    if (open.length === 0) return;
    throw new MarsError(ErrorCode.DEVICE_IN_USE, `${open.join(', ')} ${open.length === 1 ? 'is' : 'are'} open`, {
      hint: 'Unmount it, or end whoever uses it ("marsadm view" shows the open count). Nothing was stopped.',
      details: { openDevices: open },
    });
  }

  /** Closes everything; the other hosts hear that this one leaves. May be called again. */
  async stop(): Promise<void> {
    if (this.isStopping) return;
    this.isStopping = true;
    await this.rounds.stop();
    await this.rounds.round();
    this.network?.notify(true);
    await this.network?.stop();
    await this.control?.close();
    this.unsubscribe();
    this.watch.stop();
    this.log.info({}, 'the daemon has stopped');
  }

  status(): DaemonStatus {
    const { settings, options } = this;
    return {
      pid: options.pid,
      host: settings.host,
      version: VERSION,
      mars: settings.mars,
      run: settings.run,
      port: settings.port,
      network: this.network?.describe() ?? 'not started yet',
      controlFiles: this.control?.kind ?? 'not served yet',
      uptimeS: Math.floor((this.clock.nowUs - this.startedUs) / 1e6),
      rounds: this.rounds.count,
      openDevices: this.opened(),
    };
  }

  private opened(): string[] {
    return this.openDevices.flatMap((names) => names());
  }

  // ---- the tree

  /** What others, older programs or a crash have left behind. */
  private settleTree(): void {
    const { store, log } = this;
    const taken = takeOverOldTree(store);
    const stale = removeStaleTemporaries(store);
    const repaired = store.repair();
    if (taken.deleted.length + taken.removed.length > 0) {
      log.info(
        { deleted: taken.deleted.length, removed: taken.removed.length },
        'old requests for deletion were settled',
      );
      store.writeIfChanged(paths.node(store.me, 'compat-alivelinks'), '0');
    }
    if (stale.length > 0) log.info({ links: stale.length }, 'temporary links of dead programs were removed');
    if (repaired.length > 0) log.warn({ paths: repaired.slice(0, 10) }, 'stamps of the far future were repaired');
    const resolution = store.stampResolution();
    if (resolution !== 'nanoseconds') {
      log.warn(
        { resolution, path: store.disk.root },
        'stamps of links are coarse here: use ext4 with large inodes, XFS or btrfs',
      );
    }
    if (store.snapshot.value(paths.uuid) === null) {
      log.warn({ path: store.disk.root }, 'there is no cluster here yet: marsadm create-cluster, or join-cluster');
    }
  }

  /** What hosts say about themselves is no reason for a round: it is written in every round, so two hosts would never rest. */
  private changed(before: TreeSnapshot, after: TreeSnapshot): void {
    const isNews = before.changesTo(after).some(({ path }) => !path.startsWith('actual-'));
    if (isNews) this.rounds.request(TRIGGER_SETTLE_MS);
  }

  private followSettings(): void {
    const limit = this.store.snapshot.read(paths.hostSetting(this.store.me, 'sync-limit'), INT);
    if (limit !== null) this.tunables.syncLimit.put(Math.min(limit, this.tunables.syncLimit.options.max));
    if (this.store.corruptPaths.length > 0) this.store.repair();
  }

  private writeStatus(): void {
    const { store, tunables } = this;
    const space = this.measure();
    const level = nextLevel(tunables.emergencyMode.value, space.level, tunables.resetEmergency.value !== 0);
    if (level !== tunables.emergencyMode.value)
      this.log.warn({ level, restBytes: space.restBytes }, 'the emergency level has changed');
    tunables.emergencyMode.put(level);
    tunables.remainingSpaceKb.put(Math.floor(space.restBytes / 1024));
    store.batch(() => {
      const facts = {
        me: store.me,
        nowNs: this.lamport.now(),
        isStopping: this.isStopping,
        emergencyLevel: level,
        restGib: gibOf(space.restBytes),
        totalGib: gibOf(space.totalBytes),
      };
      for (const { path, value, when } of nodeStatus(facts, store.snapshot)) {
        if (when === 'always') store.write(path, value);
        else store.writeIfChanged(path, value);
      }
    });
  }

  private measure(): { level: EmergencyLevel; restBytes: number; totalBytes: number; requiredBytes: number } {
    const { totalBytes, availableBytes } = this.options.files.space(this.settings.mars);
    return judgeSpace({ totalBytes, availableBytes, limits: this.tunables.freeSpace() });
  }

  private checkSpace(): void {
    const { mars } = this.settings;
    const { totalBytes } = this.options.files.space(mars);
    const { requiredBytes } = this.measure();
    if (totalBytes < requiredBytes) {
      throw cannot(
        `${mars} has ${gibOf(totalBytes)} GiB, less than its free-space limits (${gibOf(requiredBytes)} GiB)`,
        'Make it larger, or lower required_free_space_1_gb … _4_gb in marsd.yaml.',
      );
    }
    const wantedGib = gibOf(requiredBytes) + this.tunables.totalSpaceWantedGb.value;
    if (totalBytes < wantedGib * GIB)
      this.log.warn({ totalBytes, wantedGib }, '/mars is small: logs of a longer network outage may not fit');
  }

  private collect(): void {
    if (this.network === null || this.clock.nowUs - this.collectedUs < COLLECT_PERIOD_MS * 1000) return;
    this.collectedUs = this.clock.nowUs;
    const gone = this.network.collect();
    if (gone.length > 0) this.log.info({ links: gone.length }, 'tombstones that every host has seen were removed');
  }

  // ---- control files

  private info(): string {
    const entries = [...this.store.snapshot.root.entries.entries()].length;
    return `SUMMARY: brick_count=0 dent_count=${entries}\n`;
  }

  private trigger(text: string): void {
    const command = parseTrigger(text);
    switch (command.do) {
      case 'trigger':
        return this.triggered(command.bits);
      case 'push':
        return this.told(command.peer, this.network?.pushLink(command.peer, command.path, command.value));
      case 'check':
        return this.told(command.peer, this.network?.pushCheck(command.peer, command.path));
      case 'log':
        this.log.info({ text: command.text }, 'somebody says');
    }
  }

  private triggered(bits: number): void {
    if (bits & TRIGGER_LOCAL) this.rounds.request(TRIGGER_SETTLE_MS);
    if (bits & (TRIGGER_FETCH | TRIGGER_FULL)) this.network?.compare((bits & TRIGGER_FULL) !== 0);
    if (bits & (TRIGGER_NOTIFY_ACTIVE | TRIGGER_NOTIFY_ALL)) this.network?.notify((bits & TRIGGER_NOTIFY_ALL) !== 0);
  }

  /** Best effort, as in the original: the writer does not wait, and the log says what went wrong. */
  private told(peer: string, outcome: Promise<string | null> | undefined): void {
    if (outcome === undefined)
      throw new MarsError(ErrorCode.BAD_CONTROL, 'there is no network yet', { details: { errno: EINVAL } });
    outcome.then(
      (wrong) => wrong !== null && this.log.warn({ peer, reason: wrong }, 'a push to a peer failed'),
      (err: unknown) => this.log.warn({ peer, err }, 'a push to a peer failed'),
    );
  }

  private async serveControl(): Promise<void> {
    const { run, controlFiles } = this.settings;
    const { serveControl = serveControlFiles } = this.options;
    const server = await serveControl(`${run}/sys`, this.files, {
      name: 'marsd',
      kind: controlFiles,
      onLost: (reason) => this.remount(reason),
    });
    this.control = server;
    if (server.kind === 'plain')
      this.log.warn({ reason: server.reason }, 'control files are ordinary files: see docs/marsd.md');
  }

  private remount(reason: string): void {
    this.log.warn({ reason }, 'somebody has unmounted the control files; they come back');
    this.control = null;
    this.clock.after(REMOUNT_PAUSE_MS, this, (daemon) => {
      if (daemon.isStopping || daemon.control !== null) return;
      daemon.serveControl().catch((err: unknown) => {
        if (!isMarsError(err)) throw err;
        daemon.remount(err.message);
      });
    });
  }
}
