import { Entry, LOG, TreeSnapshot, versionValue, zeroVersion } from '@mars/mars-tree';
import { describeTranscript } from '../transcript.test.kit.js';
import { planResource } from './resource.js';
import type { LogStep, PeerFacts, ResourceFacts, ResourcePlan } from './resource-facts.js';

/** What the lines of a scene say; see the head of the transcript. */
class Scene {
  private tree = TreeSnapshot.EMPTY;
  private readonly versions = new Map<string, string>();
  private readonly peers: PeerFacts[] = [];
  private stampNs = 1_000_000_000n;
  private facts: ResourceFacts = {
    ...{ resource: 'r', me: 'a', isRunning: true, mayTakeRoles: true, realNs: 0n, aliveWindowNs: 30_000_000_000n },
    ...{
      peers: this.peers,
      logs: [],
      end: null,
      damage: null,
      incompleteAtBytes: null,
      logger: null,
      fetch: null,
      sync: null,
    },
    ...{ diskBytes: 1000, diskError: null, deviceIsOn: false, openCount: 0, syncEndedNs: null, isReplaysTurn: false },
    ...{ syncsRunning: 0, syncLimit: 0, emergencyLevel: 0, rotateBytes: 0, acceptsDamage: false, wasPrimary: false },
  };

  constructor(lines: readonly string[]) {
    this.set('size', '1000');
    for (const line of lines) this.learn(line.split(' '));
  }

  plan(): ResourcePlan {
    return planResource({ tree: this.tree, facts: this.facts });
  }

  private learn([word, ...rest]: string[]): void {
    const [one = '', two = '', three = ''] = rest;
    switch (word) {
      case 'member':
        return this.member(one, rest.slice(1));
      case 'guest':
        return this.set(`device-${one}`, 'r');
      case 'syncpos':
        return this.set(`syncpos-${one}`, `${logName(two)},${three.replace('+', ',')}`);
      case 'primary':
        return this.set('primary', one);
      case 'replay':
        return this.set(`replay-${one}`, `${logName(two)},${three.replace('+', ',')}`);
      case 'version':
        return this.version(one, two, Number(three));
      case 'synced':
        return this.set(`syncstatus-${one}`, two);
      case 'log':
        return this.change({ logs: [...this.facts.logs, { ...LOG.parse(logName(one)), sizeBytes: Number(two) }] });
      case 'offer':
        return void (this.peer(one).logs as unknown as object[]).push({
          ...LOG.parse(logName(two)),
          durableBytes: Number(three),
        });
      case 'end':
        return this.change({ end: { goodEnd: Number(one), reason: two, mayCut: two !== 'damaged' } });
      case 'logging':
        return this.logging(one.split(','), Number(two), Number(three));
      case 'replaying':
        return this.replaying(one, Number(two), Number(three));
      case 'fetching':
        return this.change({
          fetch: {
            peer: one,
            log: LOG.parse(logName(two)),
            copiedBytes: Number(three),
            endBytes: Number(three),
            phase: 'running',
            error: '',
          },
        });
      case 'syncing':
        return this.change({
          sync: { peer: one, log: null, copiedBytes: Number(two), endBytes: 1000, phase: 'running', error: '' },
        });
      case 'damage':
        return this.change({
          damage: { log: LOG.parse(logName(one)), atPos: Number(two), code: -74, wasFetchedAgain: three === 'again' },
        });
      case 'alive':
        return this.setRoot(`actual-${one}/alive`, '1');
      default:
        return this.flag(word!, one);
    }
  }

  private flag(word: string, value: string): void {
    if (word === 'open') this.change({ openCount: Number(value) });
    else if (word === 'waits-for-members') this.change({ mayTakeRoles: false });
    else if (word === 'sync-ended') this.change({ syncEndedNs: (this.stampNs += 1n) });
    else if (word === 'force') this.change({ acceptsDamage: true });
    else if (word === 'rotate-at') this.change({ rotateBytes: Number(value) });
    else if (word === 'sync-limit') this.change({ syncLimit: Number(value), syncsRunning: Number(value) });
    else throw new Error(`what is "${word} ${value}"?`);
  }

  private change(change: Partial<ResourceFacts>): void {
    this.facts = { ...this.facts, ...change };
  }

  /** `member b attach connect allow-replay sync` */
  private member(host: string, switches: readonly string[]): void {
    this.set(`data-${host}`, '/disk');
    this.set(`device-${host}`, 'r');
    this.set(`syncstatus-${host}`, '1000');
    for (const name of switches) this.set(`todo-${host}/${name}`, '1');
  }

  private peer(host: string): PeerFacts {
    const known = this.peers.find((peer) => peer.host === host);
    if (known !== undefined) return known;
    const peer = { host, isUp: true, isMerged: true, logs: [] };
    this.peers.push(peer);
    return peer;
  }

  /** `version b 2a 8192`: length of log 2 of a as b knows it; the history before is what b has said so far. */
  private version(host: string, log: string, lengthBytes: number): void {
    const { sequence, host: creator } = LOG.parse(logName(log));
    const before = this.versions.get(`${sequence - 1} ${host}`) ?? null;
    const value = sequence === 0 ? zeroVersion(0, creator) : versionValue(sequence, creator, lengthBytes, before);
    this.versions.set(`${sequence} ${host}`, value);
    this.set(`version-${String(sequence).padStart(9, '0')}-${host}`, value);
  }

  private logging(logs: readonly string[], publishedSequence: number, writtenBytes: number): void {
    const names = logs.map((log) => LOG.parse(logName(log)));
    this.change({
      deviceIsOn: true,
      logger: { mode: 'logging', logs: names, isOn: true, publishedSequence, writtenBytes, failure: null },
    });
  }

  private replaying(log: string, toPos: number, code: number): void {
    this.change({
      logger: { mode: 'replay', log: LOG.parse(logName(log)), fromPos: 0, toPos, pos: 0, code, failure: null },
    });
  }

  private set(name: string, value: string): void {
    this.setRoot(`resource-r/${name}`, value);
  }

  private setRoot(path: string, value: string): void {
    this.tree = this.tree.with(path, new Entry('link', value, (this.stampNs += 1n), 0, 0));
  }
}

/** `2a` = log 2, created by a. */
function logName(text: string): string {
  return `log-${text.slice(0, -1).padStart(9, '0')}-${text.slice(-1)}`;
}

function answer(plan: ResourcePlan): string[] {
  const lines: string[] = [];
  if (!plan.isMine) lines.push('not ours');
  if (plan.stopLogger) lines.push('stop the logger');
  if (plan.step !== null) lines.push(stepText(plan.step));
  if (plan.openLogs !== null) lines.push(`logs open: ${plan.openLogs.map((log) => LOG.format(log)).join(', ')}`);
  if (plan.createNext !== null) lines.push(`create ${LOG.format(plan.createNext)}`);
  if (plan.wantDevice) lines.push('device');
  if (plan.fetch !== null)
    lines.push(
      `fetch ${LOG.format(plan.fetch.log!)} from ${plan.fetch.peer}: ${plan.fetch.fromBytes} to ${plan.fetch.toBytes}`,
    );
  if (plan.sync !== null) lines.push(`sync from ${plan.sync.peer}: ${plan.sync.fromBytes} to ${plan.sync.toBytes}`);
  if (plan.finishSync !== null)
    lines.push(
      `the disk is complete at ${LOG.format(plan.finishSync.position.log)},${plan.finishSync.position.posBytes}`,
    );
  for (const { key, text } of plan.messages) lines.push(`${key}: ${text}`);
  return lines.length > 0 ? lines : ['rest'];
}

function stepText(step: LogStep): string {
  const log = LOG.format(step.log);
  switch (step.do) {
    case 'look':
      return `look at ${log} from ${step.fromPos} on`;
    case 'replay':
      return `replay ${log} from ${step.fromPos} to ${step.toPos}`;
    case 'cut':
      return `cut ${log} at ${step.atPos} (${step.reason})`;
    case 'fetch-again':
      return `fetch ${log} again from ${step.atPos} on`;
    case 'switch':
      return `switch to ${log}`;
    case 'create':
      return `create ${log}`;
    case 'log':
      return `log into ${log}`;
  }
}

describe('The plan for a resource', () => {
  describeTranscript('resource', (given) => answer(new Scene(given).plan()));
});
