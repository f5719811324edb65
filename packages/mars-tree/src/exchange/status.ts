import type { Peer } from './peer.js';

/** One line of the control file `peers`. Names of fields are stable; new ones may come. */
export interface PeerStatus {
  host: string;
  /** `ADDRESS:PORT`; null = `ips/` gives none. */
  address: string | null;
  /** `in-sync`: whatever changes here or there is known at the other side within a moment. `down`: no connection. */
  state: 'down' | 'connecting' | 'greeting' | 'standby' | 'comparing' | 'in-sync';
  /** Who has opened the connection. */
  opened: 'here' | 'there' | null;
  /** Since anything was last heard, seconds; null = never since the start. */
  lastContactS: number | null;
  /** How old what is known of the peer may be: since the moment up to which all of its facts are here, seconds; null = never. */
  lagS: number | null;
  /** Facts that wait to be pushed to it. */
  waiting: number;
  sentBytes: number;
  receivedBytes: number;
  roundTripMs: number | null;
  pushed: number;
  received: number;
  /** Facts received, by what became of them. */
  outcomes: Record<string, number>;
  comparisons: number;
  connections: number;
  /** Attempts to connect since it was last up. */
  attempts: number;
  errors: number;
  lastError: { code: string; text: string } | null;
  /** Seconds since 1970; null = plain text, or not known. */
  certificateExpires: number | null;
}

/** @param nowMs monotonic @param nowNs Lamport */
export function statusOf(peer: Peer, nowMs: number, nowNs: bigint): PeerStatus {
  const { active, link, counts } = peer;
  const stats = active?.line.stats;
  const contactMs = Math.max(peer.lastContactMs, (stats?.lastHeardUs ?? -Infinity) / 1000);
  const expiresMs = link?.status.certificateExpiresMs ?? null;
  return {
    host: peer.host,
    address:
      peer.address === null
        ? null
        : 'path' in peer.address
          ? peer.address.path
          : `${peer.address.host}:${peer.address.port}`,
    state: active?.state ?? (link !== null && link.status.state !== 'off' ? 'connecting' : 'down'),
    opened: active === null ? null : active.isOutgoing ? 'here' : 'there',
    lastContactS: contactMs === -Infinity ? null : seconds(nowMs - contactMs),
    lagS: peer.readNs === 0n ? null : Math.max(0, seconds(Number(nowNs - peer.readNs) / 1e6)),
    waiting: active?.waiting ?? 0,
    sentBytes: peer.closedBytes.sent + (stats?.sentBytes ?? 0),
    receivedBytes: peer.closedBytes.received + (stats?.receivedBytes ?? 0),
    roundTripMs: stats === undefined || stats.roundTripMs < 0 ? null : stats.roundTripMs,
    pushed: counts.pushed,
    received: counts.received,
    outcomes: { ...counts.outcomes },
    comparisons: counts.rounds,
    connections: counts.sessions,
    attempts: link?.status.attempts ?? 0,
    errors: counts.errors,
    lastError: peer.lastError,
    certificateExpires: expiresMs === null ? null : Math.floor(expiresMs / 1000),
  };
}

function seconds(ms: number): number {
  return Math.round(ms) / 1000;
}
