import { ErrorCode, MarsError, type NetListener } from '@mars/brick-core';
import {
  LockFile,
  createLogger,
  createPlatform,
  isMountedOn,
  notifyServiceManager,
  onSignal,
  reportStart,
  runDir,
  type ClosableLogger,
  type Platform,
} from '@mars/platform';
import { EXIT_GOOD, errorData, type ExitCode } from '../mars-stack/exit.js';
import { serveControlSocket } from './control-socket.js';
import { openNetwork, type ClusterNetwork, type NetworkOptions } from './cluster-network.js';
import { Daemon } from './daemon.js';
import { ARENA_BYTES, LOG_FILES_KEPT, LOG_FILE_BYTES, POOL_OBJECTS } from './limits.js';
import type { MachineFacts } from './machine-checks.js';
import { ResourceManager } from '../resources/manager.js';
import type { Settings } from './settings.js';
import { TotalLog } from './total-log.js';

type NetworkParts = Pick<NetworkOptions, 'store' | 'lamport' | 'notified'>;

export interface RunOptions {
  settings: Settings;
  /** Started by `marsd start`: the log goes to a file, and whoever started us hears how it went. */
  isDetached: boolean;
}

/** `marsd run`: this process is the daemon until it is told to stop. @throws MarsError when it cannot start */
export async function run(options: RunOptions): Promise<ExitCode> {
  try {
    return await runLocked(options);
  } catch (error) {
    if (options.isDetached) reportStart(JSON.stringify({ ok: false, error: errorData(error) }));
    throw error;
  }
}

async function runLocked({ settings, isDetached }: RunOptions): Promise<ExitCode> {
  runDir({ run: settings.run });
  const locks = [takeLock(`${settings.run}/marsd.lock`)];
  const copies: { total: TotalLog | null } = { total: null };
  const log = openLog(settings, isDetached, (line) => copies.total?.write(line));
  const platform = createPlatform({
    ring: 'threads',
    arenaBytes: ARENA_BYTES,
    poolObjects: POOL_OBJECTS,
    log: { logger: log },
  });
  // A second lock, because the same tree could be given another run directory. Not before the tree is mounted: it would lie below the mount.
  const lockTree = (): void => void locks.push(takeLock(`${settings.mars}/.marsd.lock`));
  try {
    const service = new Service(settings, platform, log, lockTree);
    copies.total = service.total;
    await service.untilStopped();
    return EXIT_GOOD;
  } catch (err) {
    log.error({ err }, 'the daemon could not start');
    throw err;
  } finally {
    await platform.close();
    log.close();
    copies.total?.close();
    for (const lock of locks) lock.release();
  }
}

function takeLock(path: string): LockFile {
  const lock = LockFile.take(path);
  if (lock instanceof LockFile) return lock;
  const who = lock.holder === null ? 'another process' : `process ${lock.holder.pid}`;
  throw new MarsError(ErrorCode.DAEMON_RUNS, `${who} holds ${path}`, {
    hint: 'Only one daemon may use a tree. "marsd status" shows it, "marsd stop" stops it.',
    details: { path, pid: lock.holder?.pid ?? null },
  });
}

function openLog({ run, host, logLevel }: Settings, isDetached: boolean, copy: (line: string) => void): ClosableLogger {
  const file = { path: `${run}/marsd.log`, maxBytes: LOG_FILE_BYTES, keep: LOG_FILES_KEPT };
  return createLogger({
    level: logLevel,
    destination: isDetached ? file : 'stderr',
    fields: { me: host },
    also: { write: copy },
  });
}

/** The daemon, and those who tell it to stop: signals, and the control socket. */
class Service {
  readonly total: TotalLog;
  private readonly daemon: Daemon;
  private readonly resources: ResourceManager;
  private network: ClusterNetwork | null = null;
  private stop: () => void = () => {};
  private readonly stopped = new Promise<void>((resolve) => (this.stop = resolve));
  /** A signal has come while a device was open: it is obeyed as soon as that is closed. */
  private isWaitingToStop = false;

  constructor(
    settings: Settings,
    private readonly platform: Platform,
    private readonly log: ClosableLogger,
    lockTree: () => void,
  ) {
    const { files, loop } = platform;
    this.daemon = new Daemon({
      settings,
      pid: process.pid,
      files,
      clock: loop,
      log,
      machine: machineFacts(platform),
      lockTree,
      makeNetwork: (parts) => (this.network = this.networkOf(parts, settings)),
    });
    this.resources = this.resourcesOf(settings);
    this.total = new TotalLog(files, `${settings.mars}/5.total.log`, this.daemon.lamport);
    this.daemon.rounds.add({ name: 'total log', run: () => this.total.round() });
    this.daemon.openDevices.push(() => this.resources.openDevices());
    this.daemon.rounds.add({ name: 'resources', run: () => this.resources.round() });
    this.daemon.rounds.add({ name: 'stop', run: () => this.stopIfClosed() });
  }

  private networkOf(parts: NetworkParts, settings: Settings): ClusterNetwork {
    return openNetwork({
      ...parts,
      settings,
      platform: this.platform,
      log: this.log,
      logSizes: { durableBytes: (resource, log) => this.resources.durableBytes(resource, log) },
      logsChanged: () => this.daemon.rounds.request(),
      opened: (net) => this.resources.networkOpened(net),
      closed: () => this.resources.networkClosed(),
    });
  }

  private resourcesOf({ mars, run, port }: Settings): ResourceManager {
    const { daemon, platform, log } = this;
    const { store, lamport, tunables, rounds } = daemon;
    return new ResourceManager({
      ...{ store, lamport, platform, log, mars, run, port },
      siteDir: process.env['MARS_ETC'] ?? '/etc/mars',
      peers: () => this.network,
      requestRound: () => rounds.request(),
      settings: () => ({
        aliveWindowS: tunables.aliveWindow.value,
        scanIntervalS: tunables.scanInterval.value,
        syncLimit: tunables.syncLimit.value,
        emergencyLevel: tunables.emergencyMode.value,
        rotateBytes: tunables.autoRotateGb.value * 2 ** 30,
        acceptsDamage: tunables.acceptsDamage.value !== 0,
      }),
    });
  }

  async untilStopped(): Promise<void> {
    const { daemon } = this;
    const ignoreSignals = onSignal(['SIGTERM', 'SIGINT'], (signal) => this.signalled(signal));
    let socket: NetListener | null = null;
    try {
      await daemon.start();
      socket = await serveControlSocket(this.platform.net, daemon.status().run, {
        status: () => daemon.status(),
        stop: () => {
          daemon.checkStop();
          this.stop();
        },
      });
      reportStart(JSON.stringify({ ok: true, status: daemon.status() }));
      notifyServiceManager('READY=1', `STATUS=${daemon.status().network}`);
      await this.stopped;
      notifyServiceManager('STOPPING=1');
      await this.resources.close();
      await daemon.stop();
    } finally {
      ignoreSignals();
      // Not awaited: the connection of whoever told us to stop ends with this process, and that is how they see the end.
      void socket?.close();
    }
  }

  /** A signal cannot be refused, only delayed: the service manager kills us in the end, which is safe, but takes longer to recover from. */
  private signalled(signal: string): void {
    this.isWaitingToStop = true;
    const { openDevices } = this.daemon.status();
    if (openDevices.length > 0)
      this.log.warn({ signal, openDevices }, 'told to stop while a device is open: waiting until it is closed');
    this.stopIfClosed();
  }

  private stopIfClosed(): void {
    if (this.isWaitingToStop && this.daemon.status().openDevices.length === 0) this.stop();
  }
}

function machineFacts({ files }: Platform): MachineFacts {
  return {
    isRoot: process.geteuid!() === 0,
    isKernelModuleLoaded: () => files.stat('/proc/sys/mars') !== null,
    isMountPoint: (path) => isMountedOn(path) || files.stat(path)?.device !== files.stat(`${path}/..`)?.device,
  };
}
