import type { Session } from './session.js';
import type { Peer } from './peer.js';

/** Without a sign of life from the first connection for so long, the second one is used, ms. */
const PROBE_MS = 3_000;

/** A connection that does not say hello for so long is closed, ms. */
const HELLO_TIMEOUT_MS = 10_000;

/** What became of a connection that has said hello. */
export type Choice = 'activate' | 'replace' | 'standby';

/**
 * Two hosts may open a connection to each other at the same moment, and one side may not notice for a while that a connection is dead. Both must
 * choose alike without asking:
 *
 * - a new life of the peer's daemon counts more than an old one;
 * - the connection that the host with the smaller name has opened counts more than one of the other host;
 * - of two connections of one host, the newer one counts: it would not have opened it if the older one lived.
 *
 * What counts less waits: if the first connection does not answer within seconds, it is dead.
 */
export function choose(me: string, { active }: Peer, session: Session): Choice {
  if (active === null) return 'activate';
  if (active.life !== session.life) return 'replace';
  return rank(me, session) >= rank(me, active) ? 'replace' : 'standby';
}

function rank(me: string, session: Session): number {
  return session.isOutgoing === me < session.name ? 1 : 0;
}

/** Once a second: does the first connection live? @returns the one to be closed, or `replace` by the second; null = wait */
export function probe({ active, standby }: Peer, nowMs: number): 'close-standby' | 'promote-standby' | null {
  if (standby === null) return null;
  if (active === null) return 'promote-standby';
  if (active.line.stats.lastHeardUs > standby.heardUs) return 'close-standby';
  return nowMs - standby.sinceMs > PROBE_MS ? 'promote-standby' : null;
}

export function isMute(session: Session, nowMs: number): boolean {
  return session.life === '' && nowMs - session.openedMs > HELLO_TIMEOUT_MS;
}
