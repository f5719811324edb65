import { LOG, REPLAY, paths, type LogName, type ReplayPosition } from '@mars/mars-tree';
import { decideFetch } from './fetch.js';
import { isSame, versionBytes } from './links.js';
import { nextLocalStep, type LocalLog } from './local-log.js';
import { stopTexts } from './local-log-text.js';
import { whyNotFollow } from './next-log.js';
import type { LogStep, Message, Question, ResourcePlan } from './resource-facts.js';
import { decideSync, replayLimit } from './sync.js';

/** One record of the original at most: what may be missing at the end of a damaged log (transaction-log.md 3.1). */
const TOLERANCE_BYTES = 4180;

const NOTHING: ResourcePlan = {
  isMine: true,
  stopLogger: false,
  step: null,
  openLogs: null,
  createNext: null,
  wantDevice: false,
  fetch: null,
  sync: null,
  finishSync: null,
  exportsDisk: false,
  isDesignated: false,
  messages: [],
};

/**
 * What this host should do for one resource, now. Pure: the same tree and facts always give the same plan, and a plan is made anew after
 * every change, so nothing is remembered here.
 *
 * | | |
 * |---|---|
 * | no `device-ME` | not ours: everything is closed |
 * | no `data-ME` | guest: only indicators |
 * | designated, and roles may be taken | finish the logs (`nextLocalStep`), then log and show the device |
 * | not designated, device open | goes on as primary; nothing is forced |
 * | not designated, logging | stop: drain, publish |
 * | else | secondary: fetch, replay, go on to the next log (5.7), sync |
 *
 * Source: symlink-tree.md 6
 */
export function planResource(question: Question): ResourcePlan {
  const { tree, facts } = question;
  const { resource, me } = facts;
  const isLoaded = tree.value(paths.device(resource, me)) !== null;
  if (!isLoaded) return { ...leave(question), isMine: facts.logger !== null };
  if (tree.value(paths.data(resource, me)) === null) return leave(question);
  const attach = facts.isRunning && tree.isOn(resource, me, 'attach');
  const isDesignated = attach && tree.primary(resource) === me;
  const plan = { ...NOTHING, isDesignated, exportsDisk: attach };
  const isLogging = facts.logger?.mode === 'logging';
  if (isLogging && (isDesignated || facts.openCount > 0)) return stayPrimary(question, plan);
  if (isLogging) return { ...plan, stopLogger: true, messages: [say('inf-replay-start', 'the device is taken down')] };
  if (isDesignated) return becomePrimary(question, plan);
  return beSecondary(question, plan, attach);
}

function leave({ facts }: Question): ResourcePlan {
  const isOpen = facts.logger?.mode === 'logging' && facts.openCount > 0;
  if (!isOpen) return { ...NOTHING, stopLogger: facts.logger !== null };
  return { ...NOTHING, wantDevice: true, messages: [say('err-replay-stop', 'the device is open')] };
}

// ------------------------------------------------------------------------------------------------------------------ primary

/** Logging goes on: rotation, and nothing else. Source: transaction-log.md 2.7, 5.4 */
function stayPrimary({ facts }: Question, plan: ResourcePlan): ResourcePlan {
  const { logger, me, logs, rotateBytes } = facts;
  if (logger?.mode !== 'logging') return plan;
  const [first, second] = logger.logs;
  if (first === undefined) return { ...plan, wantDevice: true };
  if (second !== undefined) {
    const isDrained = logger.publishedSequence >= second.sequence;
    return { ...plan, wantDevice: true, openLogs: isDrained ? [second] : logger.logs };
  }
  const next = { sequence: first.sequence + 1, host: me };
  const there = logs.find((log) => isSame(log, next));
  if (there !== undefined && there.sizeBytes === 0 && logger.isOn)
    return { ...plan, wantDevice: true, openLogs: [first, next] };
  const isFull = rotateBytes > 0 && logger.writtenBytes >= rotateBytes && there === undefined;
  return { ...plan, wantDevice: true, openLogs: logger.logs, createNext: isFull ? next : null };
}

/** Everything that is in the logs goes to the disk first, then a new log of our own. Source: symlink-tree.md 6.3, 6.4 */
function becomePrimary(question: Question, plan: ResourcePlan): ResourcePlan {
  const { tree, facts } = question;
  const { resource, me, logger } = facts;
  if (!facts.mayTakeRoles)
    return { ...plan, messages: [say('inf-replay-start', 'waits for news of the other members')] };
  const incomplete = whyIncomplete(question);
  if (incomplete !== null) return { ...plan, messages: [incomplete] };
  if (logger !== null) return replayGoesOn(question, plan);
  const replay = tree.read(paths.replay(resource, me), REPLAY);
  const step = nextLocalStep({
    me,
    replay,
    versionBytes: replay === null ? null : versionBytes(tree, resource, replay.log.sequence, me),
    logs: logsFrom(question, replay),
    end: facts.end,
    force: facts.acceptsDamage,
  });
  if (step.do === 'stop') {
    const { what, remedy } = stopTexts(step.reason, step.log);
    return { ...plan, messages: [say('err-replay-stop', `${what}. ${remedy}`)] };
  }
  if (step.do === 'begin')
    return { ...plan, messages: [say('err-replaylink-not-readable', 'there is no replay link')] };
  if (step.do === 'look') {
    const dirtyEnd = replay === null ? 0 : replay.posBytes + replay.dirtyBytes;
    return { ...plan, step: { ...step, dirtyEnd } };
  }
  if (step.do === 'switch') {
    const closing = { log: step.from, lengthBytes: step.lengthBytes };
    return { ...plan, step: { do: 'switch', log: step.to, closing } };
  }
  return { ...plan, step, wantDevice: step.do === 'log' };
}

/**
 * Logs older than the replay position do not matter, and later ones of others only when they can follow: a foreign log that a forced
 * primary leaves behind is not its own future.
 */
function logsFrom({ facts }: Question, replay: ReplayPosition | null): LocalLog[] {
  if (replay === null) return [...facts.logs];
  const relevant = facts.logs.filter(({ sequence }) => sequence >= replay.log.sequence);
  // Our own log with a number wins over a foreign one with the same (symlink-tree.md 5.8, a).
  return relevant.filter(
    (log) => log.host === facts.me || !relevant.some((own) => own.host === facts.me && own.sequence === log.sequence),
  );
}

function whyIncomplete({ tree, facts }: Question): Message | null {
  const { resource, me } = facts;
  const size = Number(tree.value(paths.size(resource)) ?? 0);
  const done = Number(tree.value(paths.syncStatus(resource, me)) ?? 0);
  if (done < size) return say('err-replay-stop', `the disk is not complete: ${done} of ${size} bytes are synced`);
  const needed = tree.read(paths.syncPos(resource, me), REPLAY);
  const own = tree.read(paths.replay(resource, me), REPLAY);
  if (needed === null || own === null || own.log.sequence > needed.log.sequence) return null;
  // What was copied last may hold parts of everything up to the dirty end (transaction-log.md 4.5 [OURS]).
  const end = needed.posBytes + needed.dirtyBytes;
  if (own.log.sequence === needed.log.sequence && own.posBytes >= end) return null;
  const text = `the disk is consistent only after ${LOG.format(needed.log)} is replayed to ${end}`;
  return facts.logs.some((log) => isSame(log, needed.log) && log.sizeBytes >= end)
    ? null
    : say('err-replay-stop', text);
}

// ---------------------------------------------------------------------------------------------------------------- secondary

function beSecondary(question: Question, plan: ResourcePlan, attach: boolean): ResourcePlan {
  const { facts } = question;
  const fetch = decideFetch(question, true);
  const sync = decideSync(question, facts.logger === null || facts.sync !== null);
  const base: ResourcePlan = {
    ...plan,
    fetch: fetch.order,
    sync: sync.order,
    finishSync: sync.finish,
    messages: [...fetch.messages, ...sync.messages],
  };
  if (facts.logger !== null) return replayGoesOn(question, base);
  if (!attach) return base;
  const isSyncing = sync.order !== null || facts.sync !== null;
  const replay = replayStep(question, sync.isWanted);
  // Sync and replay exclude each other (transaction-log.md 4.5, rule 2); who runs goes on.
  if (isSyncing && replay.step !== null && replay.step.do !== 'switch') return base;
  return { ...base, step: replay.step, messages: [...base.messages, ...replay.messages] };
}

/** A replay that runs: it ends by itself, or because it may not go on. */
function replayGoesOn({ tree, facts }: Question, plan: ResourcePlan): ResourcePlan {
  const { resource, me, logger } = facts;
  if (logger?.mode !== 'replay') return plan;
  const may =
    facts.isRunning &&
    tree.isOn(resource, me, 'attach') &&
    (plan.isDesignated || tree.isOn(resource, me, 'allow-replay'));
  return { ...plan, sync: null, stopLogger: !may || logger.code !== 0 || logger.failure !== null };
}

interface ReplayDecision {
  step: LogStep | null;
  messages: Message[];
}

/** What to do about the log that the replay link names. Source: symlink-tree.md 6.4 */
function replayStep(question: Question, isSyncWanted: boolean): ReplayDecision {
  const { tree, facts } = question;
  const { resource, me } = facts;
  const replay = tree.read(paths.replay(resource, me), REPLAY);
  if (replay === null) return { step: null, messages: [] };
  const rest = (...messages: Message[]): ReplayDecision => ({ step: null, messages });
  const name = LOG.format(replay.log);
  if (facts.logs.filter((log) => log.sequence === replay.log.sequence).length > 1)
    return rest(say('err-splitbrain-detected', `there are two logs with the number of ${name}: split brain`));
  const here = facts.logs.find((log) => isSame(log, replay.log));
  if (here === undefined) return rest(say('inf-fetch', `${name} is not here yet`));
  const pos = startOf(question, replay);
  if (here.sizeBytes < pos)
    return rest(say('inf-fetch', `${name} has ${here.sizeBytes} bytes here, ${pos} are needed`));
  if (replay.log.host === me) {
    const own = ownLog(question, replay, here);
    if (own !== null) return own;
  }
  const { damage } = facts;
  if (damage !== null && isSame(damage.log, replay.log)) {
    const text = `${name} is defective at ${damage.atPos} (code ${damage.code})`;
    if (!damage.wasFetchedAgain)
      return { step: { do: 'fetch-again', log: replay.log, atPos: damage.atPos }, messages: [] };
    return rest(say('err-replay-stop', `${text}; a fresh copy was no better`));
  }
  const limit = isSyncWanted ? replayLimit(question, { ...replay, posBytes: pos }) : Infinity;
  const end = Math.min(replayableEnd(question, here), limit);
  if (end > pos && facts.incompleteAtBytes !== end) {
    if (!tree.isOn(resource, me, 'allow-replay')) return rest();
    return { step: { do: 'replay', log: replay.log, fromPos: pos, toPos: end }, messages: [] };
  }
  if (end < here.sizeBytes && limit < here.sizeBytes) return rest(say('inf-replay-start', 'replay waits for the sync'));
  return followStep(question, replay.log, pos);
}

/** The two links are written one after the other: the older one is safe to start from. */
function startOf({ tree, facts }: Question, { log, posBytes }: ReplayPosition): number {
  return Math.min(posBytes, versionBytes(tree, facts.resource, log.sequence, facts.me) ?? posBytes);
}

/** A log that is being fetched counts as far as it is durable here. */
function replayableEnd({ facts }: Question, here: LocalLog): number {
  const { fetch } = facts;
  return fetch !== null && fetch.log !== null && isSame(fetch.log, here)
    ? Math.min(here.sizeBytes, fetch.copiedBytes)
    : here.sizeBytes;
}

/** A former primary finishes its own log as it would after a crash, before it follows somebody else. */
function ownLog(question: Question, replay: ReplayPosition, here: LocalLog): ReplayDecision | null {
  const { tree, facts } = question;
  const step = nextLocalStep({
    me: facts.me,
    replay,
    versionBytes: versionBytes(tree, facts.resource, replay.log.sequence, facts.me),
    logs: [here],
    end: facts.end,
    force: facts.acceptsDamage,
  });
  if (step.do === 'look') return { step: { ...step, dirtyEnd: replay.posBytes + replay.dirtyBytes }, messages: [] };
  if (step.do === 'replay' || step.do === 'cut') return { step, messages: [] };
  if (step.do !== 'stop') return null;
  const { what, remedy } = stopTexts(step.reason, step.log);
  return { step: null, messages: [say('err-replay-stop', `${what}. ${remedy}`)] };
}

/** The log is on the disk as far as it is here: may we go on to the next? */
function followStep({ tree, facts }: Question, old: LogName, posBytes: number): ReplayDecision {
  const { resource, me, logs } = facts;
  const nexts = logs.filter((log) => log.sequence === old.sequence + 1);
  const later = logs.some((log) => log.sequence > old.sequence + 1);
  if (nexts.length === 0)
    return {
      step: null,
      messages: later ? [say('wrn-log-consecutive', `the log behind ${LOG.format(old)} is missing`)] : [],
    };
  const foreign = nexts.filter(({ host }) => host !== me);
  if (nexts.length > 1)
    return {
      step: null,
      messages: [
        say('err-splitbrain-detected', `there are ${nexts.map((log) => LOG.format(log)).join(' and ')}: split brain`),
      ],
    };
  const next = foreign[0] ?? nexts[0]!;
  const question = {
    tree,
    resource,
    me,
    old,
    next,
    posBytes,
    isDesignated: false,
    toleranceBytes: facts.acceptsDamage ? TOLERANCE_BYTES : 0,
  };
  const why = whyNotFollow(question);
  if (why !== null) return { step: null, messages: [why] };
  return { step: { do: 'switch', log: { sequence: next.sequence, host: next.host }, closing: null }, messages: [] };
}

function say(key: string, text: string): Message {
  return { key, text };
}
