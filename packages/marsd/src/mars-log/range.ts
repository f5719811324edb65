import { ErrorCode, MarsError } from '@mars/brick-core';
import { parseOffset } from './position.js';

/** Part of a logfile, bytes from its start; `to` is exclusive. */
export interface Range {
  from?: number;
  to?: number;
}

/** @throws MarsError USAGE */
export function parseRange(args: { from?: string | undefined; to?: string | undefined }): Range {
  const range: Range = {};
  if (args.from !== undefined) range.from = parseOffset(args.from, '--from');
  if (args.to !== undefined) range.to = parseOffset(args.to, '--to');
  return range;
}

/** A range that lies outside of the file is a slip of the pen; an empty answer would hide it. @throws MarsError USAGE */
export function checkRange({ from = 0, to }: Range, log: { path: string; sizeBytes: number }): void {
  if (from > log.sizeBytes) {
    throw new MarsError(ErrorCode.USAGE, `--from ${from} lies behind the end of ${log.path} (${log.sizeBytes} bytes)`, {
      hint: '"mars-log verify" says where the last good record ends.',
    });
  }
  if (to !== undefined && to < from) {
    throw new MarsError(ErrorCode.USAGE, `--to ${to} lies in front of --from ${from}`, {
      hint: 'The range is from --from up to, not including, --to.',
    });
  }
}
