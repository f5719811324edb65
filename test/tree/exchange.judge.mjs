// What must hold while a cluster exchanges facts, and at its end.
import assert from 'node:assert/strict';
import { paths } from '@mars/mars-tree';
import { contentOf } from './exchange.kit.mjs';

/** A deletion that a host has held for so long cannot be lost in a power cut: the journal was committed, ms. */
const DURABLE_MS = 6_000;

/** So old the window of the collection, and a pass of it, leave no tombstone that everybody has heard of. */
const COLLECTED_NS = 75_000_000_000n;

/** Looks at the trees of all daemons from outside. */
export class ExchangeJudge {
  /** Host → path → newest stamp seen in this life. */
  newest = new Map();
  /** Host → path → newest stamp of a deletion seen in this life, and since when. */
  deletions = new Map();
  /** path → stamp of the newest deletion that some host held durably. */
  established = new Map();
  /** Host → stamps of its own facts, per path, in this life. */
  own = new Map();
  /**
   * Host → newest stamp that former lives can have given to anything. After a power cut a host with a slow clock may write stamps again that it
   * has used before, until it hears of others; for these, an `alive` of the former life promises nothing.
   */
  floors = new Map();

  constructor(daemons) {
    this.daemons = daemons;
  }

  born({ host }) {
    this.newest.set(host.name, new Map());
    this.deletions.set(host.name, new Map());
    this.own.set(host.name, []);
  }

  /** What a crash takes back was never written, unless others have it. */
  died({ host, store }) {
    this.born({ host });
    const before = this.floors.get(host.name) ?? 0n;
    const now = store.clock.peek();
    this.floors.set(host.name, now > before ? now : before);
  }

  /** `me` has just written this path. */
  wrote(me, path) {
    const { store } = this.daemons.get(me);
    const stampNs = store.snapshot.stampNs(path);
    if (path.startsWith(`actual-${me}/`) && stampNs > (this.floors.get(me) ?? 0n))
      this.own.get(me).push({ path, stampNs });
  }

  look() {
    for (const daemon of this.daemons.values()) if (daemon.host.isUp) this.lookAt(daemon);
    for (const daemon of this.daemons.values()) if (daemon.host.isUp) this.checkPromises(daemon);
  }

  lookAt({ host, store }) {
    const newest = this.newest.get(host.name);
    const deletions = this.deletions.get(host.name);
    const nowMs = host.world.nowMs;
    for (const { path, entry } of store.snapshot.walk()) {
      if (entry.kind !== 'link' || path.startsWith('cache-')) continue;
      const before = newest.get(path) ?? 0n;
      assert.ok(
        entry.stampNs >= before,
        `${host.name}: the stamp of ${path} went back from ${before} to ${entry.stampNs}`,
      );
      newest.set(path, entry.stampNs);
      const deleted = deletions.get(path);
      if (!entry.isTombstone) {
        const isOld = deleted !== undefined && entry.stampNs < deleted.stampNs;
        assert.ok(
          !isOld,
          `${host.name}: ${path} was deleted at ${deleted?.stampNs} and came back with ${entry.stampNs}`,
        );
      } else if (deleted?.stampNs !== entry.stampNs) deletions.set(path, { stampNs: entry.stampNs, sinceMs: nowMs });
      else if (nowMs - deleted.sinceMs > DURABLE_MS) this.establish(path, entry.stampNs);
    }
  }

  establish(path, stampNs) {
    if (stampNs > (this.established.get(path) ?? 0n)) this.established.set(path, stampNs);
  }

  /** Who has heard `alive` of a host has heard everything that this host wrote before. */
  checkPromises({ host, store }) {
    for (const [name, facts] of this.own) {
      const aliveNs = store.snapshot.stampNs(paths.node(name, 'alive')) ?? 0n;
      for (const { path, stampNs } of facts) {
        if (stampNs >= aliveNs) continue;
        const here = store.snapshot.stampNs(path) ?? 0n;
        assert.ok(
          here >= stampNs,
          `${host.name} has heard alive@${aliveNs} of ${name}, but ${path}@${here} instead of ${stampNs}`,
        );
      }
    }
  }

  converged(when) {
    const daemons = [...this.daemons.values()];
    // `time` and `alive` are on their way at any moment.
    const texts = daemons.map(({ store }) => withoutPulse(contentOf(store)));
    for (const [i, text] of texts.entries())
      assert.equal(text, texts[0], `${when}: ${daemons[i].host.name} differs from ${daemons[0].host.name}`);
    for (const { store } of daemons) {
      for (const [path, deletedNs] of this.established) {
        const entry = store.snapshot.entry(path);
        const isBack = entry !== null && !entry.isTombstone && entry.stampNs < deletedNs;
        assert.ok(
          !isBack,
          `${when}: ${path} was deleted at ${deletedNs} and is back on ${store.me} with ${entry?.stampNs}`,
        );
      }
    }
  }

  /** Paths that are deleted now, wherever there is a tombstone. */
  deletedEverywhere() {
    const found = new Set();
    for (const { store } of this.daemons.values())
      for (const { path, entry } of store.snapshot.walk()) if (entry.isTombstone) found.add(path);
    return found;
  }

  /** The collection has done its work: these tombstones have gone, where somebody was to collect them. */
  collected(paths) {
    const daemons = [...this.daemons.values()];
    // Where a clock was ahead and was set back, stamps hardly grow older: then they wait.
    const nowNs = daemons.reduce((min, { store }) => (store.clock.peek() < min ? store.clock.peek() : min), 1n << 62n);
    let gone = 0;
    for (const { store } of daemons) {
      for (const path of paths) {
        // Who takes no part in a resource leaves its tombstones alone.
        if (path.startsWith('resource-') || path.startsWith('ips/')) continue;
        const entry = store.snapshot.entry(path);
        const mustBeGone = entry?.isTombstone && entry.stampNs < nowNs - COLLECTED_NS;
        assert.ok(!mustBeGone, `${store.me} still has the tombstone of ${path}@${entry?.stampNs}`);
        if (entry === null) gone++;
      }
    }
    return gone;
  }
}

function withoutPulse(text) {
  return text
    .split('\n')
    .filter((line) => !/^actual-[^/]+\/(time|alive) /.test(line))
    .join('\n');
}
