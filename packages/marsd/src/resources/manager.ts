import { container, type Logger } from '@mars/brick-core';
import { BRICK_NET, BrickNetHub } from '@mars/bricks-net';
import { LOG, paths, type LamportClock, type LogName, type LogSizes, type TreeStore } from '@mars/mars-tree';
import type { Platform } from '@mars/platform';
import type { PeerFacts } from '@mars/strategy';
import type { PeerNet } from '@mars/wire';
import { composeHost } from '../compose.js';
import { Exports } from './exports.js';
import { UNREACHABLE_INTERVALS } from './limits.js';
import { ResourceRunner, type RunnerHouse } from './runner.js';
import { Templates } from './templates.js';

/** What the network of the daemon tells about peers. */
export interface PeerView {
  isUp(peer: string): boolean;
  /** Its tree was merged once since the start. */
  isMerged(peer: string): boolean;
  logsOf(peer: string, resource: string): readonly { sequence: number; host: string; durableBytes: number }[];
  logGrew(resource: string, log: string): void;
  notify(all: boolean): void;
}

export interface ManagerOptions {
  store: TreeStore;
  lamport: LamportClock;
  platform: Platform;
  log: Logger;
  mars: string;
  run: string;
  /** `/etc/mars`. */
  siteDir: string;
  /** First port of the cluster. */
  port: number;
  /** null = there is no network (yet). */
  peers(): PeerView | null;
  /** A round soon, please. */
  requestRound(): void;
  settings(): {
    aliveWindowS: number;
    scanIntervalS: number;
    syncLimit: number;
    emergencyLevel: number;
    rotateBytes: number;
    acceptsDamage: boolean;
  };
}

const BOOT_ID = '/proc/sys/kernel/random/boot_id';

/** All resources of this host: one runner for each, and what they share. */
export class ResourceManager implements LogSizes {
  private readonly runners = new Map<string, ResourceRunner>();
  private readonly exports: Exports;
  private readonly house: RunnerHouse;
  private readonly bootId: string;
  private hasNetwork = false;
  private isRunning = true;
  private readonly startedUs: number;
  private isRoundDue = false;

  constructor(private readonly options: ManagerOptions) {
    const { platform, store, lamport, log, mars, run, siteDir } = options;
    const { loop, files } = platform;
    this.startedUs = loop.nowUs;
    const templates = new Templates(files, siteDir);
    this.bootId = new TextDecoder().decode(files.readFile(BOOT_ID) ?? new Uint8Array(0)).trim();
    this.house = {
      ...{ loop, files, log, store, lamport, mars, socketDir: `${run}/nbd` },
      host: composeHost(container.createChildContainer(), platform),
      template: (name, resource) => templates.find(name, resource),
      changed: () => this.changed(),
      onLog: (line) => log.info({ line: line.trimEnd() }, 'from a data thread'),
      peersOf: (resource) => this.peersOf(resource),
      addressOf: (peer, offset) => this.addressOf(peer, offset),
      notifyPeers: () => options.peers()?.notify(false),
      logGrew: (resource, name) => options.peers()?.logGrew(resource, name),
      situation: () => this.situation(),
    };
    this.exports = new Exports(this.house, (name) => this.pathOf(name));
  }

  /** The daemon can talk to others: exports and copies are possible. */
  networkOpened(peers: PeerNet): void {
    const hub = new BrickNetHub({
      peers,
      clock: this.house.loop,
      bootId: this.bootId,
      addressOf: () => null,
      onDemand: (name, host) =>
        this.isMember(host, name) ? this.exports.want(name) : Promise.resolve('this host is no member'),
    });
    this.house.host.register(BRICK_NET, { useValue: hub });
    this.hasNetwork = true;
    this.changed();
  }

  async networkClosed(): Promise<void> {
    this.hasNetwork = false;
    await this.exports.close();
  }

  /** A step of the main loop. */
  async round(): Promise<void> {
    const { store, log } = this.options;
    for (const resource of store.snapshot.resources()) if (!this.runners.has(resource) && this.isOurs(resource)) this.runners.set(resource, new ResourceRunner(resource, this.house)); // prettier-ignore
    for (const [resource, runner] of this.runners) {
      try {
        await runner.round();
      } catch (err) {
        // One resource must not disturb another.
        log.error({ resource, err }, 'the round of a resource failed');
      }
      if (!this.isOurs(resource) && runner.isIdle) this.runners.delete(resource);
    }
    this.exports.tidy();
  }

  /** Everything off. What is on the disk then needs no replay at the next start. */
  async close(): Promise<void> {
    this.isRunning = false;
    await Promise.all([...this.runners.values()].map((runner) => runner.close()));
    await this.exports.close();
  }

  /** Names of devices that somebody has open. */
  openDevices(): string[] {
    return [...this.runners.values()]
      .filter(({ openCount }) => openCount > 0)
      .map(({ resource }) => `/dev/mars/${resource}`);
  }

  durableBytes(resource: string, log: LogName): number | null {
    return this.runners.get(resource)?.durableBytes(log) ?? null;
  }

  private isOurs(resource: string): boolean {
    const { store } = this.options;
    return store.snapshot.value(paths.device(resource, store.me)) !== null;
  }

  private peersOf(resource: string): PeerFacts[] {
    const { store, peers } = this.options;
    const view = peers();
    const members = store.snapshot.members(resource).filter((host) => host !== store.me);
    return members.map((host) => ({
      host,
      isUp: view?.isUp(host) ?? false,
      isMerged: view?.isMerged(host) ?? false,
      logs: view?.logsOf(host, resource) ?? [],
    }));
  }

  private addressOf(peer: string, portOffset: number): string | null {
    const ip = this.hasNetwork ? this.options.store.snapshot.value(paths.ip(peer)) : null;
    if (ip === null) return null;
    return `${ip.includes(':') ? `[${ip}]` : ip}:${this.options.port + portOffset}`;
  }

  /** `disk:RES` and `log:RES:LOG` of resources that are attached here; nothing else can be named. */
  private pathOf(name: string): { resource: string; path: string } | null {
    const { store, mars } = this.options;
    const [kind, resource = '', log = ''] = name.split(':');
    if (!store.snapshot.resources().includes(resource) || !this.isOurs(resource)) return null;
    if (kind === 'disk') {
      const path = store.snapshot.isOn(resource, store.me, 'attach')
        ? store.snapshot.value(paths.data(resource, store.me))
        : null;
      return path === null ? null : { resource, path };
    }
    const file = kind === 'log' ? LOG.read(log) : null;
    return file === null ? null : { resource, path: `${mars}/${paths.resource(resource)}/${LOG.format(file)}` };
  }

  private isMember(host: string, name: string): boolean {
    return this.options.store.snapshot.users(name.split(':')[1] ?? '').includes(host);
  }

  private situation(): ReturnType<RunnerHouse['situation']> {
    const settings = this.options.settings();
    const uptimeMs = (this.house.loop.nowUs - this.startedUs) / 1000;
    return {
      isRunning: this.isRunning,
      aliveWindowNs: BigInt(settings.aliveWindowS) * 1_000_000_000n,
      syncLimit: settings.syncLimit,
      syncsRunning: [...this.runners.values()].filter(({ isSyncing }) => isSyncing).length,
      emergencyLevel: settings.emergencyLevel,
      rotateBytes: settings.rotateBytes,
      acceptsDamage: settings.acceptsDamage,
      uptimeMs,
      unreachableAfterMs: UNREACHABLE_INTERVALS * settings.scanIntervalS * 1000,
    };
  }

  /** Many small changes, one round. */
  private changed(): void {
    if (this.isRoundDue) return;
    this.isRoundDue = true;
    this.house.loop.after(5, this, (manager) => {
      manager.isRoundDue = false;
      manager.options.requestRound();
    });
  }
}
