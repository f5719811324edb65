import { INT, REPLAY, paths, type ReplayPosition } from '@mars/mars-tree';
import type { CopyOrder, Message, Question } from './resource-facts.js';

export interface SyncDecision {
  /** A sync is needed and switched on; replay may not go beyond the primary's position meanwhile. */
  isWanted: boolean;
  order: CopyOrder | null;
  finish: { position: ReplayPosition; sizeBytes: number } | null;
  /** The own replay position is behind the primary's: neither sync nor replay may mix old and new data. */
  messages: Message[];
}

const NOT: SyncDecision = { isWanted: false, order: null, finish: null, messages: [] };

/** When the disk is copied from the primary, and when the copy is complete. Source: symlink-tree.md 6.6; transaction-log.md 4.4, 4.5 */
export function decideSync({ tree, facts }: Question, isSecondary: boolean): SyncDecision {
  const { resource, me } = facts;
  const primary = tree.primary(resource);
  const size = tree.read(paths.size(resource), INT);
  const done = tree.read(paths.syncStatus(resource, me), INT) ?? 0;
  if (!isSecondary || !facts.isRunning || primary === null || primary === me || size === null || done >= size)
    return NOT;
  if (!tree.isOn(resource, me, 'attach') || !tree.isOn(resource, me, 'sync')) return NOT;
  const from = tree.value(`resource-${resource}/syncfrom-${me}`);
  const wanted = (order: CopyOrder | null, key: string, text: string): SyncDecision => ({
    isWanted: true,
    order,
    finish: null,
    messages: text === '' ? [] : [{ key, text }],
  });
  if (from !== null && from !== primary)
    return wanted(null, 'inf-sync', `sync is pinned to ${from}, but the primary is ${primary}`);
  if (facts.sync === null && facts.syncLimit > 0 && facts.syncsRunning >= facts.syncLimit)
    return wanted(null, 'inf-sync', `waits: ${facts.syncsRunning} syncs run already, the limit is ${facts.syncLimit}`);
  if (facts.emergencyLevel >= 3) return wanted(null, 'inf-sync', 'no sync while /mars is nearly full');
  const primarys = tree.read(paths.replay(resource, primary), REPLAY);
  const own = tree.read(paths.replay(resource, me), REPLAY);
  if (primarys === null || own === null)
    return wanted(null, 'inf-sync-start', `the replay position of ${primary} is not known yet`);
  if (isBehind(primarys, own))
    return wanted(null, 'inf-sync-start', `waits until ${primary} has written back what is here already`);
  if (facts.diskBytes !== null && facts.diskBytes < size)
    return wanted(null, 'err-sync', `the disk has ${facts.diskBytes} bytes, the resource has ${size}`);
  if (facts.syncEndedNs !== null) return waitForPrimary(tree, resource, primary, primarys, size, facts.syncEndedNs);
  if (facts.isReplaysTurn) return wanted(null, 'inf-sync', 'replay has its turn');
  return wanted({ peer: primary, log: null, fromBytes: done, toBytes: size }, 'inf-sync', '');
}

/** The last byte is here; now a position of the primary is needed that is newer than it. */
function waitForPrimary(
  tree: Question['tree'],
  resource: string,
  primary: string,
  position: ReplayPosition,
  sizeBytes: number,
  endedNs: bigint,
): SyncDecision {
  void resource;
  const aliveNs = tree.stampNs(paths.node(primary, 'alive'));
  if (aliveNs !== null && aliveNs >= endedNs)
    return { isWanted: true, order: null, finish: { position, sizeBytes }, messages: [] };
  const text = `everything is copied; waits for news from ${primary}`;
  return { isWanted: true, order: null, finish: null, messages: [{ key: 'inf-sync', text }] };
}

function isBehind(one: ReplayPosition, other: ReplayPosition): boolean {
  if (one.log.sequence !== other.log.sequence) return one.log.sequence < other.log.sequence;
  return one.posBytes < other.posBytes;
}

/** How far replay may go while a sync is wanted: not beyond what the primary has on its disk. Source: transaction-log.md 4.5, rule 3 */
export function replayLimit({ tree, facts }: Question, own: ReplayPosition): number {
  const primary = tree.primary(facts.resource);
  const primarys = primary === null ? null : tree.read(paths.replay(facts.resource, primary), REPLAY);
  if (primarys === null || primarys.log.sequence < own.log.sequence) return own.posBytes;
  return primarys.log.sequence > own.log.sequence ? Infinity : primarys.posBytes;
}
