import { ECONNRESET, ETIMEDOUT, invariant, type SeededRandom } from '@mars/brick-core';
import type { CrashKind, Life } from '../world/life.js';
import type { WorldEvent } from '../world/queue.js';
import type { Trace } from '../world/trace.js';
import { DEFAULT_LINK, LOCAL_LINK, Link, type LinkOptions } from './link.js';
import type { SimStream } from './stream.js';

/** What the network needs of the world. */
export interface NetWorld {
  readonly nowNs: number;
  readonly trace: Trace;
  readonly hosts: readonly { name: string; ip: string; isUp: boolean }[];
  schedule(atNs: number, kind: string, life: Life | null, run: () => void): WorldEvent;
  randomFor(name: string): SeededRandom;
}

/** What streams need of the network. */
export interface Wires {
  readonly nowNs: number;
  readonly trace: Trace;
  schedule(atNs: number, kind: string, life: Life | null, run: () => void): WorldEvent;
  isUp(host: string): boolean;
}

/** Somebody who listens. */
export interface Listening {
  host: string;
  life: Life;
  /** `port 7777` or a path. */
  where: string;
  accept: (stream: SimStream) => void;
}

/**
 * The links between all hosts of a world. Faults of the network are set here, from the scenario:
 * `world.net.cut('a', 'b')`, `heal`, `stall`, `slow`, `reset`.
 */
export class SimNetwork implements Wires {
  private readonly links = new Map<string, Link>();
  private readonly streams = new Set<SimStream>();
  private readonly listeners = new Map<string, Listening>();
  private numbers = 0;

  constructor(private readonly world: NetWorld) {}

  get nowNs(): number {
    return this.world.nowNs;
  }

  get trace(): Trace {
    return this.world.trace;
  }

  schedule(atNs: number, kind: string, life: Life | null, run: () => void): WorldEvent {
    return this.world.schedule(atNs, kind, life, run);
  }

  /** The direction from one host to another. */
  link(from: string, to: string): Link {
    const key = `${from}>${to}`;
    let link = this.links.get(key);
    if (link === undefined) {
      link = new Link(from, to, this.world.randomFor(`link/${key}`), from === to ? LOCAL_LINK : DEFAULT_LINK);
      this.links.set(key, link);
    }
    return link;
  }

  /** Changes latency or bandwidth, both ways. */
  slow(one: string, other: string, options: Partial<LinkOptions>): void {
    this.link(one, other).set(options);
    this.link(other, one).set(options);
  }

  /** A partition: nothing passes until {@link heal}. With `oneWay` the other direction stays open. */
  cut(from: string, to: string, options: { oneWay?: boolean } = {}): void {
    this.note('cut', from, to);
    this.link(from, to).isCut = true;
    if (!options.oneWay) this.link(to, from).isCut = true;
  }

  /** Both directions are open again; what waited goes on its way. */
  heal(one: string, other: string): void {
    this.note('heal', one, other);
    this.link(one, other).isCut = this.link(other, one).isCut = false;
    for (const stream of this.between(one, other)) stream.resend();
  }

  healAll(): void {
    for (const link of [...this.links.values()]) if (link.isCut) this.heal(link.from, link.to);
  }

  /** Nothing leaves in either direction for a while. */
  stall(one: string, other: string, ms: number): void {
    const untilNs = this.nowNs + Math.round(ms * 1e6);
    this.link(one, other).stallUntil(untilNs);
    this.link(other, one).stallUntil(untilNs);
  }

  /** Every connection between the two breaks on both sides. @returns how many */
  reset(one: string, other: string): number {
    const broken = this.between(one, other).filter((stream) => stream.isOpen);
    for (const stream of broken) stream.breakOff(ECONNRESET);
    this.note('reset', one, other);
    return broken.length / 2;
  }

  /** One side believes the connection dead, the other does not know: it times out at `host` only. */
  halfOpen(host: string, peer: string): void {
    for (const stream of this.between(host, peer))
      if (stream.host === host && stream.isOpen) stream.breakOff(ETIMEDOUT);
  }

  isUp(host: string): boolean {
    return this.world.hosts.find(({ name }) => name === host)?.isUp ?? false;
  }

  /** Name of the host that an address means; `null` = nobody has it. */
  hostAt(address: string): string | null {
    return this.world.hosts.find(({ name, ip }) => name === address || ip === address)?.name ?? null;
  }

  // ---- the sides of the hosts

  nextNumber(): number {
    return ++this.numbers;
  }

  add(one: SimStream, other: SimStream): void {
    this.streams.add(one).add(other);
    if (this.streams.size % 64 === 0) this.sweep();
  }

  listen(listening: Listening): boolean {
    const key = `${listening.host} ${listening.where}`;
    const before = this.listeners.get(key);
    if (before !== undefined && !before.life.isOver) return false;
    this.listeners.set(key, listening);
    return true;
  }

  unlisten(listening: Listening): void {
    const key = `${listening.host} ${listening.where}`;
    if (this.listeners.get(key) === listening) this.listeners.delete(key);
  }

  listenerAt(host: string, where: string): Listening | null {
    const found = this.listeners.get(`${host} ${where}`);
    return found === undefined || found.life.isOver ? null : found;
  }

  hostDied(host: string, kind: CrashKind): void {
    for (const [key, listening] of this.listeners) if (listening.host === host) this.listeners.delete(key);
    for (const stream of this.streams) {
      if (stream.host !== host || !stream.isOpen) continue;
      // The kernel resets the connections of a dead process; a machine without power says nothing.
      if (kind === 'process') stream.resetPeer();
      else stream.breakOff(ECONNRESET);
    }
    this.sweep();
  }

  /** TCP of the peers has kept trying: what it sent meanwhile arrives now, and meets a host that knows no connection. */
  hostStarted(host: string): void {
    for (const stream of this.streams) if (stream.remoteHost === host) stream.resend();
  }

  /** Connections and listeners of a host, for leak checks. */
  open(host: string): { connections: number; listeners: number } {
    return {
      connections: [...this.streams].filter((stream) => stream.host === host && stream.isOpen).length,
      listeners: [...this.listeners.values()].filter((listening) => listening.host === host).length,
    };
  }

  waits(host: string): string[] {
    const mine = [...this.streams].filter((stream) => stream.host === host);
    return mine.map((stream) => stream.waits()).filter((text) => text !== null);
  }

  private between(one: string, other: string): SimStream[] {
    return [...this.streams].filter(
      ({ host, remoteHost }) => (host === one && remoteHost === other) || (host === other && remoteHost === one),
    );
  }

  private sweep(): void {
    for (const stream of this.streams) if (!stream.isOpen && !stream.peer.isOpen) this.streams.delete(stream);
  }

  private note(kind: string, one: string, other: string): void {
    const index = (name: string): number => this.world.hosts.findIndex((host) => host.name === name);
    invariant(index(one) >= 0 && index(other) >= 0, `no such hosts: ${one}, ${other}`);
    this.trace.event(this.nowNs, -1, `net-${kind}`, index(one), index(other));
  }
}
