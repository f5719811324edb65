/**
 * What `mars-log` says, as text: the executable opens files, calls these functions and prints.
 */

import { STATUS, describeDetail, replayCodeText, replayStateName, statusName } from './details.js';
import { dumpEnd, dumpRecord } from './dump.js';
import type { DecodedRecord } from './decode.js';
import type { Segment } from './resync.js';
import type { ScanResult } from './scan.js';
import { HISTOGRAM_BUCKETS, SIZE_BUCKETS } from './stats.js';
import type { GrowingHistogram, ScanStats } from './stats.js';

/** Exit status of `mars-log verify`. 2 (usage, unreadable file) is the executable's own. */
export type ExitStatus = 0 | 1;

export function dumpRecordLine(record: DecodedRecord, offset: number): string {
  return JSON.stringify(dumpRecord(record, offset));
}

export function dumpEndLine(scan: ScanResult): string {
  return JSON.stringify(dumpEnd(scan));
}

/** 0 only if every byte of the range belongs to a good record. */
export function exitStatusOf(scan: ScanResult): ExitStatus {
  return scan.kind === 'complete' || scan.kind === 'empty' ? 0 : 1;
}

export function worstExitStatus(all: readonly ExitStatus[]): ExitStatus {
  return all.includes(1) ? 1 : 0;
}

/** The verdict over one file: one line if it is good, else what, where, what it means and what helps. */
export function verifyLines(name: string, scan: ScanResult): string[] {
  const counted = countText(scan.stats);
  const notes = noteLines(name, scan.stats);
  if (scan.kind === 'empty') return [`${name}: good, empty`, ...notes];
  if (scan.kind === 'complete') return [`${name}: good, ${counted}`, ...notes];
  const { meaning, remedy } = tailTexts(scan);
  return [
    `${name}: ${verdictWord(scan)} at offset ${scan.goodEnd}: ${codeText(scan)}, after ${counted}`,
    `  ${meaning}`,
    `  ${remedy}`,
    ...notes,
  ];
}

function verdictWord(scan: ScanResult): string {
  if (scan.kind === 'short-tail' || scan.kind === 'incomplete') return 'incomplete';
  if (scan.kind === 'zero-tail') return 'defective (zero tail)';
  return scan.kind === 'stopped' ? 'not read to its end' : 'defective';
}

/** `code -74 (EBADMSG) detail -10101 (checksum mismatch)`, the way it is published. */
function codeText(scan: ScanResult): string {
  const code = scan.status === STATUS.good ? scan.replayCode : scan.status;
  const name = scan.status === STATUS.good ? replayStateName(scan.replayCode) : statusName(scan.status);
  const text = `code ${code} (${name})`;
  if (scan.status === STATUS.good) return text;
  const detail = describeDetail(scan.status, scan.detail).name;
  const number = scan.detail === 0 ? 'detail none' : `detail ${scan.detail}`;
  const byte = scan.byteCode === 0 ? '' : ` byte 0x${scan.byteCode.toString(16).padStart(2, '0')}`;
  return `${text} ${number} (${detail})${byte}, replay code ${replayCodeText(scan.replayCode, scan.detail, scan.byteCode)}`;
}

function tailTexts(scan: ScanResult): { meaning: string; remedy: string } {
  const wait = 'If the file is still being written or fetched, wait; after a crash replay may end here.';
  if (scan.kind === 'short-tail') {
    return { meaning: `The last ${scan.scannedTo - scan.goodEnd} bytes are too few to be a record.`, remedy: wait };
  }
  if (scan.kind === 'zero-tail') {
    return {
      meaning: 'Everything behind the last good record is zero: the file grew before its data came.',
      remedy: wait,
    };
  }
  if (scan.kind === 'stopped')
    return { meaning: 'The caller ended the scan.', remedy: 'Run it again without a limit.' };
  return describeDetail(scan.status, scan.detail);
}

function noteLines(name: string, stats: ScanStats): string[] {
  const lines = [];
  if (stats.unverified > 0) {
    lines.push(`${name}: note: ${plural(stats.unverified, 'record')} without a checksum, accepted unverified`);
  }
  if (stats.warnings > 0) {
    lines.push(
      `${name}: note: ${plural(stats.warnings, 'record')} whose sequence number does not grow (detail -10011)`,
    );
  }
  return lines;
}

/** Counts, sizes and time span of a log, with two pictures. `widthColumns` is that of the terminal. */
export function statLines(name: string, scan: ScanResult, widthColumns = 80): string[] {
  const s = scan.stats;
  const lines = [
    `${name}: ${countText(s)}, good up to offset ${scan.goodEnd}`,
    row(
      'end of log',
      scan.kind === 'complete' || scan.kind === 'empty' ? scan.kind : `${verdictWord(scan)}, ${codeText(scan)}`,
    ),
  ];
  if (s.records === 0) return lines;
  lines.push(
    row(
      'payload',
      `${bytesText(s.payloadBytes)}, stored ${bytesText(s.storedBytes)}, ${s.payloadLenMin}…${s.payloadLenMax} bytes per record`,
    ),
    row(
      'frames',
      `${bytesText(s.logBytes - s.storedBytes)} (${percent(s.logBytes - s.storedBytes, s.logBytes)} of the log)`,
    ),
    row('device range', `${s.posMin}…${s.posEndMax}`),
    row('sequence', `${s.firstSeq}…${s.lastSeq}`),
    row('codes', `${s.newData} new data, ${s.oldData} old data, ${s.otherCodes} other`),
    row('digests', tally(s.byDigest)),
    row('compression', tally(s.byCompression)),
    row('unverified', String(s.unverified)),
    row(
      'accepted',
      `${stampText(s.stampMinSec, s.stampMinNsec)} … ${stampText(s.stampMaxSec, s.stampMaxNsec)} UTC (${spanText(s)})`,
    ),
    '',
    'writes by size (bytes up to)',
    ...sizePicture(s, widthColumns),
    '',
    ...timePicture(s.times, widthColumns),
  );
  return lines;
}

function row(label: string, text: string): string {
  return `  ${label.padEnd(13)} ${text}`;
}

function countText(stats: ScanStats): string {
  return `${plural(stats.records, 'record')}, ${bytesText(stats.logBytes)}`;
}

function plural(n: number, word: string): string {
  return `${n} ${word}${n === 1 ? '' : 's'}`;
}

function percent(part: number, whole: number): string {
  return whole === 0 ? '0 %' : `${((100 * part) / whole).toFixed(1)} %`;
}

/** `596 bytes`, `4.1 KiB`, `32.0 GiB`. */
export function bytesText(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes / 1024;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${value.toFixed(1)} ${units[unit]}`;
}

const SECONDS_PER_DAY = 86400;
const DAYS_PER_400_YEARS = 146097;
/** From 1 March of the year 0 to 1 January 1970: with years that begin in March, the leap day is the last one. */
const DAYS_BEFORE_EPOCH = 719468;
const LAST_CALENDAR_SEC = 253402300799; // 9999-12-31 23:59:59

/** `2016-10-23 10:13:50.123456789` in UTC; the bare number where it is no date (a stamp is covered by no checksum). */
export function stampText(sec: number, nsec: number): string {
  const fraction = String(nsec).padStart(9, '0');
  if (!(Math.abs(sec) <= LAST_CALENDAR_SEC)) return `${sec}.${fraction}`;
  const day = Math.floor(sec / SECONDS_PER_DAY);
  const rest = sec - day * SECONDS_PER_DAY;
  const clock = [Math.floor(rest / 3600), Math.floor(rest / 60) % 60, rest % 60].map(twoDigits).join(':');
  return `${dateText(day)} ${clock}.${fraction}`;
}

function dateText(daysSinceEpoch: number): string {
  const days = daysSinceEpoch + DAYS_BEFORE_EPOCH;
  const era = Math.floor(days / DAYS_PER_400_YEARS);
  const dayOfEra = days - era * DAYS_PER_400_YEARS;
  const leapDays = Math.floor(dayOfEra / 1460) - Math.floor(dayOfEra / 36524) + Math.floor(dayOfEra / 146096);
  const yearOfEra = Math.floor((dayOfEra - leapDays) / 365);
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1;
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
  const year = era * 400 + yearOfEra + (month <= 2 ? 1 : 0);
  return `${String(year).padStart(4, '0')}-${twoDigits(month)}-${twoDigits(day)}`;
}

function twoDigits(n: number): string {
  return String(n).padStart(2, '0');
}

function spanText(s: ScanStats): string {
  const seconds = s.stampMaxSec - s.stampMinSec + (s.stampMaxNsec - s.stampMinNsec) / 1e9;
  if (seconds < 120) return `${seconds.toFixed(3)} s`;
  if (seconds < 7200) return `${(seconds / 60).toFixed(1)} min`;
  return seconds < 172800 ? `${(seconds / 3600).toFixed(1)} h` : `${(seconds / 86400).toFixed(1)} d`;
}

function tally(counts: Readonly<Record<string, number>>): string {
  const used = Object.entries(counts).filter(([, n]) => n > 0);
  return used.map(([name, n]) => `${n} ${name}`).join(', ');
}

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
const LEVELS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/** Columns that a line of the size picture needs beside its bar. */
const PICTURE_MARGIN_COLUMNS = 30;

/** A horizontal bar, exact to an eighth of a column. Anything above zero can be seen. */
export function bar(part: number, columns: number): string {
  const eighths = Math.max(part > 0 ? 1 : 0, Math.round(Math.min(1, part) * columns * 8));
  return '█'.repeat(eighths >> 3) + EIGHTHS[eighths & 7];
}

function sizePicture(s: ScanStats, widthColumns: number): string[] {
  const columns = Math.max(10, widthColumns - PICTURE_MARGIN_COLUMNS);
  const most = Math.max(...s.sizes, 1);
  const lines = [];
  for (let k = 0; k < SIZE_BUCKETS; k++) {
    const n = s.sizes[k]!;
    const share = percent(n, s.records).padStart(7);
    lines.push(
      `${String(512 << k).padStart(8)} ${String(n).padStart(10)} ${share} ${bar(n / most, columns)}`.trimEnd(),
    );
  }
  return lines;
}

/** One column per bucket of time, from the first used one to the last; height is the number of writes. */
function timePicture(times: GrowingHistogram, widthColumns: number): string[] {
  const first = times.counts.findIndex((n) => n > 0);
  if (first < 0) return [];
  const last = times.counts.findLastIndex((n) => n > 0);
  const most = Math.max(...times.counts);
  const each = Math.max(1, Math.floor((widthColumns - 4) / HISTOGRAM_BUCKETS));
  let picture = '';
  for (let i = first; i <= last; i++) picture += column(times.counts[i]! / most).repeat(each);
  const from = times.origin + first * times.width;
  const to = times.origin + (last + 1) * times.width;
  return [
    `writes by time (${plural(times.width, 'second')} per column${each > 1 ? ` of ${each}` : ''}, at most ${most} writes)`,
    `  ${picture}`,
    `  ${stampText(from, 0).slice(0, -10)} … ${stampText(to, 0).slice(0, -10)}`,
  ];
}

function column(part: number): string {
  if (part <= 0) return ' ';
  return LEVELS[Math.min(LEVELS.length - 1, Math.ceil(part * LEVELS.length) - 1)]!;
}

/** What `mars-log scan` shows: good runs and defects in file order. */
export function surveyLines(name: string, segments: readonly Segment[]): string[] {
  const lines = segments.map((segment) => {
    const { scan } = segment;
    if (segment.kind === 'good') {
      return `${name}: ${scan.from}…${scan.goodEnd} good, ${countText(scan.stats)}, sequence ${scan.stats.firstSeq}…${scan.stats.lastSeq}`;
    }
    return `${name}: ${segment.from}…${segment.to} ${verdictWord(scan)}, ${codeText(scan)}`;
  });
  if (segments.filter((s) => s.kind === 'good').length > 1) {
    lines.push(`${name}: records behind a defect are shown for inspection only; replay ends at the first defect`);
  }
  return lines;
}
