import type { LogName, ReplayPosition, TreeSnapshot } from '@mars/mars-tree';
import type { LocalLog, LogEnd } from './local-log.js';

/** A log that another host has, as far as it has said. */
export interface RemoteLog extends LogName {
  /** What a power cut would leave there. */
  durableBytes: number;
}

/** Another member of the resource, seen from here. */
export interface PeerFacts {
  host: string;
  /** There is a connection. */
  isUp: boolean;
  /** Its tree was merged once since this daemon started. */
  isMerged: boolean;
  logs: readonly RemoteLog[];
}

/** What the logger of the resource does. */
export type LoggerFacts =
  | {
      mode: 'replay';
      log: LogName;
      fromPos: number;
      toPos: number;
      /** Disk and links are good up to here. */
      pos: number;
      /** 0 = running, 1 = reached the end, 2 = stopped before it, negative = a defect at `pos` (transaction-log.md 3.5). */
      code: number;
      /** It could not even start, or died. */
      failure: string | null;
    }
  | {
      mode: 'logging';
      /** One, or during a rotation two. */
      logs: readonly LogName[];
      isOn: boolean;
      /** The log whose position is published now. */
      publishedSequence: number;
      writtenBytes: number;
      failure: string | null;
    };

/** A copy under way: of a log from a peer, or of the disk from the primary. */
export interface CopyFacts {
  peer: string;
  /** null = the disk. */
  log: LogName | null;
  /** Durable here up to this position. */
  copiedBytes: number;
  endBytes: number;
  phase: string;
  error: string;
}

/** A defect that replay has met. */
export interface Damage {
  log: LogName;
  atPos: number;
  code: number;
  /** The bytes from there on were fetched again once, and it was the same. */
  wasFetchedAgain: boolean;
}

/** Everything that is decided upon and does not stand in the tree; plain data. */
export interface ResourceFacts {
  resource: string;
  me: string;
  /** The daemon is not about to stop. */
  isRunning: boolean;
  /** Every reachable member has been merged once: roles may be taken (symlink-tree.md 6.3). */
  mayTakeRoles: boolean;
  /** Now, by the system clock, ns: for ages. */
  realNs: bigint;
  aliveWindowNs: bigint;
  peers: readonly PeerFacts[];
  /** Log files that are here, with their durable sizes. */
  logs: readonly LocalLog[];
  /** What was found at the end of the log that is to be replayed; null = nobody has looked. */
  end: LogEnd | null;
  damage: Damage | null;
  /** The log to be replayed ended in an incomplete record when it had so many bytes; null = it did not. */
  incompleteAtBytes: number | null;
  logger: LoggerFacts | null;
  fetch: CopyFacts | null;
  sync: CopyFacts | null;
  /** Bytes of the own disk; null = not known. */
  diskBytes: number | null;
  diskError: string | null;
  deviceIsOn: boolean;
  openCount: number;
  /** Stamp after which the last byte of a sync was copied; null = no sync has come to its end. */
  syncEndedNs: bigint | null;
  /** Sync gives way to replay for a turn (symlink-tree.md 6.6). */
  isReplaysTurn: boolean;
  syncsRunning: number;
  syncLimit: number;
  emergencyLevel: number;
  /** The primary goes over to a new log at this size, bytes; 0 = never. */
  rotateBytes: number;
  /** allow_primary_when_damaged, or `primary --force` with fetch switched off. */
  acceptsDamage: boolean;
  /** This daemon has made the device appear since it runs. */
  wasPrimary: boolean;
}

/** What the runner of a resource is to do next about its logs; one thing at a time, then everything is asked again. */
export type LogStep =
  | { do: 'look'; log: LogName; fromPos: number; dirtyEnd: number }
  | { do: 'replay'; log: LogName; fromPos: number; toPos: number }
  | { do: 'cut'; log: LogName; atPos: number; reason: string }
  | { do: 'create'; log: LogName }
  | { do: 'switch'; log: LogName; closing: { log: LogName; lengthBytes: number } | null }
  | { do: 'log'; log: LogName }
  /** Throw away what is behind `atPos`, so that it is fetched again. */
  | { do: 'fetch-again'; log: LogName; atPos: number };

/** A sentence for `msg-KEY`, and for whoever asks why nothing happens. */
export interface Message {
  key: string;
  text: string;
}

export interface CopyOrder {
  peer: string;
  log: LogName | null;
  fromBytes: number;
  toBytes: number;
}

export interface ResourcePlan {
  /** False: nothing of it may run, and nothing is written. */
  isMine: boolean;
  /** The logger that runs is to stop (a primary drains). */
  stopLogger: boolean;
  /** With no logger running: the next step; null = rest. */
  step: LogStep | null;
  /** While logging: the logs that are to be open. */
  openLogs: readonly LogName[] | null;
  /** While logging: make the next log appear. */
  createNext: LogName | null;
  /** The device should be there. */
  wantDevice: boolean;
  fetch: CopyOrder | null;
  sync: CopyOrder | null;
  /** The disk is complete: publish this position of the primary, then the size. */
  finishSync: { position: ReplayPosition; sizeBytes: number } | null;
  /** Keep the disk available for peers. */
  exportsDisk: boolean;
  isDesignated: boolean;
  messages: readonly Message[];
}

/** One question to all tables: the tree, the resource, and what is known here. */
export interface Question {
  tree: TreeSnapshot;
  facts: ResourceFacts;
}
