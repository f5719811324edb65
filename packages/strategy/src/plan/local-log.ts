import type { LogName, ReplayPosition } from '@mars/mars-tree';
import { isSame } from './links.js';

/** A logfile that is here. */
export interface LocalLog extends LogName {
  sizeBytes: number;
}

/** What somebody found who looked at a log from the replay position to its end (`scanLog` and `judgeTail` of the logger). */
export interface LogEnd {
  /** End of the last good record. */
  goodEnd: number;
  /** Why the log ends there; `clean` = nothing stands behind it. */
  reason: string;
  /** True when what stands behind it may be cut off without asking: it had never been durable. */
  mayCut: boolean;
}

/** Everything that the decision depends on; plain data. */
export interface LocalLogFacts {
  me: string;
  /** The own replay link; `null` = there is none. */
  replay: ReplayPosition | null;
  /** Length in the own version link of that log; `null` = there is none. */
  versionBytes: number | null;
  /** All logfiles that are here, in any order. */
  logs: readonly LocalLog[];
  /** The end of the log that `replay` names; `null` = nobody has looked yet. */
  end: LogEnd | null;
  /** A person has said that damage at the end is to be accepted. */
  force: boolean;
}

export type StopReason =
  | 'no-position' // logs without a replay link: nobody knows where to begin
  | 'log-missing'
  | 'log-too-short' // shorter than what was replayed of it
  | 'two-creators' // split brain
  | 'foreign-log' // another host has gone on from our log
  | 'hole' // a serial is missing
  | 'damaged' // records behind a defect, in what had been durable
  | 'lost' // the log ends inside the range that the disk may hold parts of
  | 'gap'; // the log is damaged, and a later one holds records

/** What to do next; then ask again with fresh facts. */
export type LocalLogStep =
  /** Nothing is here yet: create the log and both version links, and last the replay link. */
  | { do: 'begin'; log: LogName }
  /** Make the log durable as it stands, and find out where it ends. */
  | { do: 'look'; log: LogName; fromPos: number }
  | { do: 'replay'; log: LogName; fromPos: number; toPos: number }
  /** Truncate the file, make that durable, and set the replay and version links to it. */
  | { do: 'cut'; log: LogName; atPos: number; reason: string }
  /** Create the log, empty, and make its name durable. */
  | { do: 'create'; log: LogName }
  /** Set the version link of `from` to its length, then the replay link to the beginning of `to`. */
  | { do: 'switch'; from: LogName; lengthBytes: number; to: LogName }
  /** Log into it: it is our own, and empty. */
  | { do: 'log'; log: LogName }
  | { do: 'stop'; reason: StopReason; log: LogName | null };

/**
 * The way from whatever a crash left to an empty log of our own, for a primary that nobody else has a copy of:
 *
 * ```
 *   look ─> replay to the last good record ─> cut what was torn ─> switch to the next log ─> … ─> log
 * ```
 * Level-triggered: every step changes the facts, and whoever dies between two steps simply begins again. A byte in log N+1 is
 * proof that N is complete, because a logger makes N durable before it writes there; so a torn N with records in N+1 is damage.
 * The exception is a log that failed (2.8): what had not become durable in N was logged again in N+1. Then N is good at least up to
 * the length that was published as durable, and only behind that something is torn.
 *
 * Source: transaction-log.md 3.2, 3.3 [OURS]; symlink-tree.md 5.1, 6.4
 */
export function nextLocalStep(facts: LocalLogFacts): LocalLogStep {
  const { replay, logs, me } = facts;
  if (replay === null) return firstStep(facts);
  const later = logs.filter((log) => log.sequence > replay.log.sequence).sort((a, b) => a.sequence - b.sequence);
  const rival = [replay.log, ...later].find((log) => logs.filter((l) => l.sequence === log.sequence).length > 1);
  if (rival !== undefined) return stop('two-creators', rival);
  const here = logs.find((log) => isSame(log, replay.log));
  if (here === undefined) return missingStep(facts, replay, later);
  return replayStep(facts, replay, here, later) ?? onwardStep(here, later, me);
}

function firstStep({ logs, me }: LocalLogFacts): LocalLogStep {
  const log = { sequence: 1, host: me };
  // Whoever died in the middle of `begin` left an empty first log.
  const isUntouched = logs.every((other) => isSame(other, log) && other.sizeBytes === 0);
  return isUntouched ? { do: 'begin', log } : stop('no-position', logs[0]!);
}

function missingStep({ me }: LocalLogFacts, replay: ReplayPosition, later: readonly LocalLog[]): LocalLogStep {
  const { log, posBytes, dirtyBytes } = replay;
  const isUntouched = log.host === me && posBytes === 0 && dirtyBytes === 0 && later.every((l) => l.sizeBytes === 0);
  return isUntouched ? { do: 'create', log } : stop('log-missing', log);
}

/** What is left to do with the log itself; `null` = it is finished. */
function replayStep(
  { end, force, versionBytes }: LocalLogFacts,
  replay: ReplayPosition,
  here: LocalLog,
  later: readonly LocalLog[],
): LocalLogStep | null {
  const { posBytes, dirtyBytes } = replay;
  const log = nameOf(here);
  // The two links are written one after the other: the older one of them is safe to start from.
  const fromPos = Math.min(posBytes, versionBytes ?? posBytes);
  if (here.sizeBytes < fromPos) return stop('log-too-short', log);
  if (end === null && here.sizeBytes > fromPos) return { do: 'look', log, fromPos };
  const { goodEnd, reason, mayCut } = end ?? { goodEnd: here.sizeBytes, reason: 'clean', mayCut: true };
  const isTorn = goodEnd < here.sizeBytes;
  const hasDurablePart = versionBytes !== null && goodEnd >= versionBytes;
  const isFollowed = later.some(({ sizeBytes }) => sizeBytes > 0);
  if (isTorn && !mayCut && !force) return stop('damaged', log);
  if (isTorn && isFollowed && !hasDurablePart && !force) return stop('gap', log);
  if (goodEnd < posBytes + dirtyBytes && !force) return stop('lost', log);
  if (goodEnd > fromPos) return { do: 'replay', log, fromPos, toPos: goodEnd };
  return isTorn ? { do: 'cut', log, atPos: goodEnd, reason } : null;
}

/** The log is on the disk to its end: where to go from here. */
function onwardStep(here: LocalLog, later: readonly LocalLog[], me: string): LocalLogStep {
  const from = nameOf(here);
  const next = later[0];
  if (next === undefined) {
    if (here.host === me && here.sizeBytes === 0) return { do: 'log', log: from };
    return { do: 'create', log: { sequence: here.sequence + 1, host: me } };
  }
  const to = nameOf(next);
  if (here.host === me && next.host !== me) return stop('foreign-log', to);
  // An empty log of our own behind a hole is where an emergency ends (symlink-tree.md 6.4, 6.8).
  const isNext = next.sequence === here.sequence + 1 || (next.host === me && next.sizeBytes === 0);
  return isNext ? { do: 'switch', from, lengthBytes: here.sizeBytes, to } : stop('hole', to);
}

function stop(reason: StopReason, log: LogName | null): LocalLogStep {
  return { do: 'stop', reason, log: log === null ? null : nameOf(log) };
}

function nameOf({ sequence, host }: LogName): LogName {
  return { sequence, host };
}
