import { ErrorCode, MarsError } from '@mars/brick-core';
import {
  bytesText,
  scanLog,
  verifyLines,
  type OnRecord,
  type ScanResult,
  type UnverifiedRule,
} from '@mars/bricks-logger/log-format';
import { onSignal } from '@mars/platform';
import { ThisHost } from '@mars/platform/command-line';
import { digestEngine } from '../digest-engine.js';
import { EXIT_FAILED, EXIT_GOOD, type ExitCode } from './exit.js';
import type { Tools } from './inspect.js';
import { SCAN_WINDOW_BYTES, withLog, type LogFile } from './log-file.js';
import { isAfter, parseOffset, parseOffsetOrTime, type Moment } from './position.js';
import { ProgressLine } from './progress.js';
import { checkRange } from './range.js';
import { ReplayRun, type ReplayOutcome } from './replay-run.js';
import { claimTarget } from './target.js';

export interface ReplayArgs {
  file: string;
  onto: string;
  from?: string | undefined;
  to?: string | undefined;
  acceptUnverified: boolean;
  yes: boolean;
  json: boolean;
}

/** What has to be typed before records that nothing proves are written to a disk. */
const CONFIRMATION = 'accept unverified';
const PROGRESS_MS = 250;

/**
 * `mars-log replay`: first the whole range is looked at, then it is applied by the same code that runs in the daemon. It ends in front
 * of the first record that is not good, and says where.
 */
export async function replay(tools: Tools, args: ReplayArgs): Promise<ExitCode> {
  const from = args.from === undefined ? 0 : parseOffset(args.from, '--from');
  const to = args.to === undefined ? undefined : parseOffsetOrTime(args.to, '--to');
  if (args.acceptUnverified) await confirm(args);
  const unverified: UnverifiedRule = args.acceptUnverified ? 'always' : 'until-checksummed';
  const claim = await claimTarget(tools.files, args.onto);
  try {
    return await withLog(tools.files, args.file, async (log) => {
      checkRange(typeof to === 'number' ? { from, to } : { from }, log);
      await log.sync();
      const scan = await look(log, from, to, unverified);
      const outcome = await apply(tools, args, scan, unverified);
      return report(tools, args, scan, outcome);
    });
  } finally {
    if (claim !== null) await tools.files.close(claim);
  }
}

/** @throws MarsError USAGE when the confirmation is not given */
async function confirm({ file, onto, yes }: ReplayArgs): Promise<void> {
  if (yes) return;
  const host = new ThisHost();
  const hint = 'Without a terminal, say --yes; "mars-log stat" counts the records without a checksum.';
  if (!host.isInteractive)
    throw new MarsError(ErrorCode.USAGE, '--accept-unverified needs a confirmation, and nobody can be asked', { hint });
  process.stderr.write(
    `Records of ${file} without a checksum are to be written to ${onto}. Nothing proves that they are what was written:\n` +
      'a damaged record damages the disk, silently.\n',
  );
  const answer = await host.ask(`Type "${CONFIRMATION}" to go on: `);
  if (answer.trim() === CONFIRMATION) return;
  throw new MarsError(ErrorCode.USAGE, 'the confirmation was not given; nothing was changed', { hint });
}

/** Up to the end of the range, the first record that is later than a moment, or the first defect. */
function look(
  log: LogFile,
  from: number,
  to: number | Moment | undefined,
  unverified: UnverifiedRule,
): Promise<ScanResult> {
  // The record that tells that the moment has passed is looked at once more, in front of the decision to stop there.
  const moment = typeof to === 'object' ? to : null;
  const scan = { from, unverified, engine: digestEngine, windowBytes: SCAN_WINDOW_BYTES };
  if (moment === null) return scanLog(log.read, to === undefined ? scan : { ...scan, to: to as number });
  return scanUntil(log, scan, moment);
}

async function scanUntil(log: LogFile, options: object & { from: number }, moment: Moment): Promise<ScanResult> {
  let end = -1;
  const isLate: OnRecord = (record, offset) => {
    if (!isAfter(record.stampSec, record.stampNsec, moment)) return true;
    end = offset;
    return false;
  };
  const scan = await scanLog(log.read, options, isLate);
  return end < 0 ? scan : scanLog(log.read, { ...options, to: end });
}

async function apply(
  tools: Tools,
  { file, onto }: ReplayArgs,
  scan: ScanResult,
  unverified: UnverifiedRule,
): Promise<ReplayOutcome | null> {
  if (scan.goodEnd === scan.from) return null;
  const { from, goodEnd: to } = scan;
  const run = new ReplayRun(tools.files, { log: file, disk: onto, from, to, unverified });
  const progress = new ProgressLine(process.stderr, to - from);
  const ignoreSignals = onSignal(['SIGINT', 'SIGTERM'], () => void run.stop());
  try {
    await run.start();
    const outcome = run.outcome();
    await watch(run, outcome, from, progress);
    return await outcome;
  } finally {
    ignoreSignals();
    progress.end();
    await run.close();
  }
}

async function watch(run: ReplayRun, outcome: Promise<unknown>, from: number, progress: ProgressLine): Promise<void> {
  let isOver = false;
  void outcome.then(() => (isOver = true));
  for (let before = from; !isOver;) {
    await Promise.race([outcome, run.sleep(PROGRESS_MS)]);
    const { current } = run;
    progress.show(current - from, ((current - before) * 1000) / PROGRESS_MS);
    before = current;
  }
}

function report({ out }: Tools, args: ReplayArgs, scan: ScanResult, outcome: ReplayOutcome | null): ExitCode {
  const minPos = outcome?.minPos ?? scan.from;
  const replayCode = outcome?.replayCode ?? '1';
  const isAll = replayCode === '1' && minPos === scan.goodEnd;
  const isWhole = scan.kind === 'complete' || scan.kind === 'empty';
  if (args.json) out.write(`${JSON.stringify(data(args, scan, outcome, minPos))}\n`);
  else for (const line of texts(args, scan, outcome, { minPos, replayCode, isAll })) out.write(`${line}\n`);
  return isAll && isWhole ? EXIT_GOOD : EXIT_FAILED;
}

function data({ file, onto }: ReplayArgs, scan: ScanResult, outcome: ReplayOutcome | null, minPos: number): object {
  const { from, goodEnd, kind, status, detail, byteCode } = scan;
  const log = { kind, goodEnd, status, detail, byteCode };
  return {
    type: 'replay',
    file,
    onto,
    from,
    minPos,
    replayCode: outcome?.replayCode ?? '1',
    log,
    counts: outcome?.counts ?? null,
  };
}

interface Reached {
  minPos: number;
  replayCode: string;
  isAll: boolean;
}

function texts(args: ReplayArgs, scan: ScanResult, outcome: ReplayOutcome | null, reached: Reached): string[] {
  const { file, onto } = args;
  const { minPos, replayCode, isAll } = reached;
  const lines = [];
  if (outcome === null) lines.push(`${file}: nothing to apply from ${scan.from} on`);
  else {
    const { records, dataBytes, skipped, unverified } = outcome.counts;
    const notes = [
      `${records} records, ${bytesText(dataBytes)} written`,
      ...(skipped > 0 ? [`${skipped} skipped`] : []),
      ...(unverified > 0 ? [`${unverified} without a checksum`] : []),
    ];
    lines.push(`${file}: applied ${scan.from}…${minPos} to ${onto}: ${notes.join(', ')}`);
  }
  if (!isAll) {
    lines.push(
      `${file}: stopped with code ${replayCode}; everything in front of ${minPos} is durable on ${onto}, and what is behind it may be there in part`,
      `  To go on: mars-log replay ${file} --onto ${onto} --from ${minPos}`,
    );
  }
  if (scan.kind !== 'complete' && scan.kind !== 'empty') lines.push(...verifyLines(file, scan));
  return lines;
}
