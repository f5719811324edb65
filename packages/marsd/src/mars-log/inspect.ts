import type { Files } from '@mars/brick-core';
import {
  dumpEnd,
  dumpEndLine,
  dumpRecordLine,
  exitStatusOf,
  scanLog,
  statLines,
  surveyLines,
  surveyLog,
  verifyLines,
  type ScanOptions,
  type ScanResult,
  type Segment,
} from '@mars/bricks-logger/log-format';
import { digestEngine } from '../digest-engine.js';
import { EXIT_FAILED, EXIT_GOOD, exitCodeOf, reportError, worst, type ExitCode } from './exit.js';
import { SCAN_WINDOW_BYTES, withLog, type LogFile } from './log-file.js';
import { LineOutput } from './output.js';
import { checkRange, type Range } from './range.js';

/** What the commands work with. */
export interface Tools {
  readonly files: Files;
  readonly out: NodeJS.WriteStream;
}

const SCAN: ScanOptions = { engine: digestEngine, windowBytes: SCAN_WINDOW_BYTES };

/** `mars-log dump`: one JSON object per good record, and one for the end. */
export async function dump({ files, out }: Tools, path: string, range: Range): Promise<ExitCode> {
  const lines = new LineOutput(out);
  const scan = await withLog(files, path, (log) => {
    checkRange(range, log);
    const read: LogFile['read'] = async (...place) => {
      await lines.drain();
      return log.read(...place);
    };
    return scanLog(read, { ...SCAN, ...range }, (record, offset) => lines.line(dumpRecordLine(record, offset)));
  });
  lines.line(dumpEndLine(scan));
  await lines.end();
  return exitStatusOf(scan);
}

interface Look<T> {
  look(log: LogFile): Promise<T>;
  texts(path: string, found: T): string[];
  data(found: T): object;
  status(found: T): ExitCode;
}

/** One file after the other; a file that cannot be read does not keep the others from being looked at. */
async function lookAtAll<T>(
  { files, out }: Tools,
  paths: readonly string[],
  json: boolean,
  at: Look<T>,
): Promise<ExitCode> {
  const lines = new LineOutput(out);
  let code: ExitCode = EXIT_GOOD;
  for (const path of paths) {
    try {
      const found = await withLog(files, path, (log) => at.look(log));
      if (json) lines.line(JSON.stringify({ file: path, ...at.data(found) }));
      else lines.lines(at.texts(path, found));
      code = worst(code, at.status(found));
    } catch (error) {
      reportError(error);
      code = worst(code, exitCodeOf(error));
    }
    await lines.end();
  }
  return code;
}

const scanAll = (log: LogFile): Promise<ScanResult> => scanLog(log.read, SCAN);

/** `mars-log verify`: 0 only if every byte belongs to a good record. */
export function verify(tools: Tools, paths: readonly string[], json: boolean): Promise<ExitCode> {
  return lookAtAll(tools, paths, json, { look: scanAll, texts: verifyLines, data: scanData, status: exitStatusOf });
}

/** `mars-log stat`: a picture of what was written. */
export function stat(tools: Tools, paths: readonly string[], json: boolean): Promise<ExitCode> {
  const texts = (path: string, scan: ScanResult): string[] => [...statLines(path, scan, tools.out.columns), ''];
  return lookAtAll(tools, paths, json, { look: scanAll, texts, data: statData, status: exitStatusOf });
}

/** `mars-log scan`: good runs and defects in file order, for people. Replay never uses what stands behind a defect. */
export function scan(tools: Tools, paths: readonly string[], json: boolean): Promise<ExitCode> {
  return lookAtAll(tools, paths, json, {
    look: (log) => surveyLog(log.read, SCAN),
    texts: surveyLines,
    data: (segments) => ({ segments: segments.map(segmentData) }),
    status: (segments) => (segments.some(({ kind }) => kind === 'bad') ? EXIT_FAILED : EXIT_GOOD),
  });
}

function scanData(found: ScanResult): object {
  const { kind, stats } = found;
  return { ...dumpEnd(found), type: 'verify', kind, records: stats.records, unverified: stats.unverified };
}

function statData({ kind, goodEnd, stats }: ScanResult): object {
  const { sizes, times, ...counts } = stats;
  return { kind, goodEnd, ...counts, sizes: [...sizes], times: { ...times, counts: [...times.counts] } };
}

function segmentData(segment: Segment): object {
  const { scan } = segment;
  const end = segment.kind === 'bad' ? segment.to : scan.goodEnd;
  const from = segment.kind === 'bad' ? segment.from : scan.from;
  if (segment.kind === 'good') return { kind: 'good', from, to: end, records: scan.stats.records };
  return { kind: 'bad', from, to: end, status: scan.status, detail: scan.detail, byteCode: scan.byteCode };
}
