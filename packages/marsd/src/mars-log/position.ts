import { ErrorCode, MarsError, parseUnit } from '@mars/brick-core';

/** A Lamport stamp as records carry it. */
export interface Moment {
  sec: number;
  nsec: number;
}

const DATE = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?(Z|[+-]\d\d:?\d\d)?$/;
const SECONDS = /^@(\d{1,12})(?:\.(\d{1,9}))?$/;

/** Bytes from the start of the file. @throws MarsError USAGE */
export function parseOffset(text: string, option: string): number {
  const bytes = parseUnit(/^\d+$/.test(text) ? Number(text) : text, 'bytes');
  if (bytes !== undefined && Number.isSafeInteger(bytes) && bytes >= 0) return bytes;
  throw new MarsError(ErrorCode.USAGE, `${option} is "${text}", which is no offset`, {
    hint: 'An offset is a number of bytes from the start of the file; "mars-log dump" prints those of all records.',
  });
}

/** An offset, or a time. @throws MarsError USAGE */
export function parseOffsetOrTime(text: string, option: string): number | Moment {
  if (!/^@|^\d{4}-/.test(text)) return parseOffset(text, option);
  const moment = parseTime(text);
  if (moment !== null) return moment;
  throw new MarsError(ErrorCode.USAGE, `${option} is "${text}", which is neither an offset nor a time`, {
    hint: 'Times are written like 2016-10-23T10:13:50.5 (UTC, or with Z or +02:00 behind it), or @1477217630 (seconds since 1970).',
  });
}

/** `2016-10-23 10:13:50.5`, `2016-10-23T10:13Z`, `2016-10-23`, `@1477217630.5`; without a zone it is UTC. @returns null = no time */
export function parseTime(text: string): Moment | null {
  const seconds = SECONDS.exec(text);
  if (seconds !== null) return { sec: Number(seconds[1]), nsec: nanoseconds(seconds[2]) };
  const date = DATE.exec(text);
  if (date === null) return null;
  const [year, month, day, hour = 0, minute = 0, second = 0] = date.slice(1, 7).map((part) => Number(part ?? 0));
  if (!isDate(year!, month!, day!) || hour > 23 || minute > 59 || second > 60) return null;
  const local = daysSinceEpoch(year!, month!, day!) * 86400 + hour * 3600 + minute * 60 + second;
  return { sec: local - zoneSeconds(date[8]), nsec: nanoseconds(date[7]) };
}

/** True when the stamp lies behind the moment. */
export function isAfter(sec: number, nsec: number, moment: Moment): boolean {
  return sec > moment.sec || (sec === moment.sec && nsec > moment.nsec);
}

function nanoseconds(fraction: string | undefined): number {
  return fraction === undefined ? 0 : Number(fraction.padEnd(9, '0'));
}

function zoneSeconds(zone: string | undefined): number {
  if (zone === undefined || zone === 'Z') return 0;
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2));
  return zone.startsWith('-') ? -minutes * 60 : minutes * 60;
}

function isDate(year: number, month: number, day: number): boolean {
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const days = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
  return days !== undefined && day >= 1 && day <= days;
}

/** Years begin in March here, so that the leap day is the last one. The other way round: `stampText` of the log format. */
function daysSinceEpoch(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146097 + dayOfEra - 719468;
}
