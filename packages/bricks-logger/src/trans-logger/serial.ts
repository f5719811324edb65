import type { LoggerHouse } from './house.js';

/**
 * Serial number of the logfile in a slot, from the name of its brick: members of a family are called `log:17`, or after the file,
 * `log:log-000000017-host`.
 * @returns undefined when the name tells none
 */
export function namedSerial(house: LoggerHouse, nr: number): number | undefined {
  const match = /:(?:log-)?(\d{1,15})(?:-.*)?$/.exec(house.providerName(nr));
  return match === null ? undefined : Number(match[1]);
}

/** The same for the log that a run begins with: what no name tells, the parameter does. */
export function firstSerial(house: LoggerHouse, nr: number): number {
  const { 'log-seq': configured } = house.ctx.params as { 'log-seq': number };
  return namedSerial(house, nr) ?? (configured > 0 ? configured : 1);
}
