import { LOG, paths, type LogName } from '@mars/mars-tree';
import type { CopyOrder, Message, PeerFacts, Question, RemoteLog } from './resource-facts.js';

export interface FetchDecision {
  order: CopyOrder | null;
  messages: Message[];
}

/**
 * Which log to fetch next, and from whom: one at a time, in the order of the numbers, from the creator if it can be reached.
 * Source: symlink-tree.md 6.5; transaction-log.md 4.2
 */
export function decideFetch({ tree, facts }: Question, isSecondary: boolean): FetchDecision {
  const { resource, me } = facts;
  const none: FetchDecision = { order: null, messages: [] };
  const replay = tree.value(paths.replay(resource, me));
  const current = replay === null ? null : LOG.read(replay.split(',')[0]!);
  const may =
    isSecondary &&
    facts.isRunning &&
    tree.isOn(resource, me, 'attach') &&
    tree.isOn(resource, me, 'connect') &&
    current !== null;
  if (!may || tree.value(paths.syncStatus(resource, me)) === null || tree.primary(resource) === null) return none;
  for (let sequence = current.sequence; ; sequence++) {
    const offers = offersOf(facts.peers, sequence, me);
    // Our own logs are never fetched back; what follows them may be.
    const isOurs = facts.logs.some((log) => log.sequence === sequence && log.host === me);
    if (offers.length === 0 && isOurs) continue;
    if (offers.length === 0) return none;
    const creators = new Set([...offers.map(({ log }) => log.host), ...hereOf(facts.logs, sequence)]);
    if (creators.size > 1) return { order: null, messages: [rivals(sequence, creators)] };
    const creator = [...creators][0]!;
    const name: LogName = { sequence, host: creator };
    const hereBytes = facts.logs.find((log) => log.sequence === sequence && log.host === creator)?.sizeBytes ?? -1;
    const best = preferred(offers, creator);
    if (best.log.durableBytes > hereBytes) return { order: orderOf(best, name, hereBytes), messages: [] };
    // It grows as long as nobody has begun the next one.
    const hasNext = offersOf(facts.peers, sequence + 1, me).length > 0;
    if (!hasNext) return { order: orderOf(best, name, hereBytes), messages: [] };
  }
}

interface Offer {
  peer: PeerFacts;
  log: RemoteLog;
}

function offersOf(peers: readonly PeerFacts[], sequence: number, me: string): Offer[] {
  return peers.flatMap((peer) =>
    peer.logs.filter((log) => log.sequence === sequence && log.host !== me).map((log) => ({ peer, log })),
  );
}

function hereOf(logs: readonly LogName[], sequence: number): string[] {
  return logs.filter((log) => log.sequence === sequence).map(({ host }) => host);
}

/** Who can be reached goes before who has more, who has more before the creator, and the creator before others. */
function preferred(offers: readonly Offer[], creator: string): Offer {
  const rank = ({ peer, log }: Offer): number[] => [Number(peer.isUp), log.durableBytes, Number(peer.host === creator)];
  return [...offers].sort((a, b) => compare(rank(b), rank(a)))[0]!;
}

function compare(one: readonly number[], other: readonly number[]): number {
  for (let i = 0; i < one.length; i++) if (one[i] !== other[i]) return one[i]! - other[i]!;
  return 0;
}

function orderOf({ peer, log }: Offer, name: LogName, hereBytes: number): CopyOrder {
  return { peer: peer.host, log: name, fromBytes: Math.max(0, hereBytes), toBytes: log.durableBytes };
}

function rivals(sequence: number, creators: ReadonlySet<string>): Message {
  const names = [...creators].sort().map((host) => LOG.format({ sequence, host }));
  return {
    key: 'err-splitbrain-detected',
    text: `there are ${names.join(' and ')}: split brain, nothing is fetched from there on`,
  };
}
