import { NS_PER_SECOND, paths } from '@mars/mars-tree';
import { numberAt } from '../checks/resource.js';
import type { Job } from '../execute/job.js';
import { humanSeconds } from '../parse/size.js';
import { logAmounts, newestVersionAge, type LogAmounts } from './amounts.js';
import { humanNumber, humanNumbers, percentOf, progressBar, remainOf } from './view-text.js';

const BAR = 20;

/** Rates that the daemon publishes, bytes per second. Source: macros.md 4.4 */
export function rateOf(job: Job, what: 'sync' | 'file' | 'replay'): number {
  const { resource, host } = job;
  const kib =
    numberAt(job, paths.actual(resource, host, `amount-${what}_rate`)) ??
    numberAt(job, paths.actual(resource, host, `${what}_rate`));
  return Math.max(0, kib ?? 0) * 1024;
}

/** Lines of the macro `syncinfo`. Source: macros.md 5.2 */
export function syncInfo(job: Job): string[] {
  const { resource, host } = job;
  const size = numberAt(job, paths.size(resource)) ?? 0;
  const pos = numberAt(job, paths.syncStatus(resource, host)) ?? 0;
  const rate = rateOf(job, 'sync');
  const whole = humanNumbers([pos, size], 0);
  const amounts = humanNumbers([pos, size]);
  const speed = humanNumbers([rate], 2);
  const remain = humanSeconds(remainOf(size - pos, rate));
  const speedText = speed.unit === 'B' ? `${rate.toFixed(2)} B` : `${speed.amounts[0]} ${speed.unit}`;
  return [
    `     syncing: ${progressBar(BAR, pos, 0, size)}  ${percentOf(pos, size).toFixed(2)}%  (${whole.amounts.join('/')})${whole.unit}  rate: ${speedText}/sec  remaining: ${remain} hrs`,
    `       > sync: ${amounts.amounts.join('/')} ${amounts.unit} rate: ${humanNumber(rate)}/sec  remaining: ${remain} hrs`,
  ];
}

/** Lines of the macro `replinfo`. Source: macros.md 5.2 */
export function replInfo(job: Job): string[] {
  const amounts = logAmounts(job.snapshot, job.resource, job.host);
  const { replayPos, fetchPos, fetchSize } = amounts;
  const whole = humanNumbers([replayPos, fetchSize], 0);
  const bar = progressBar(BAR, replayPos, fetchPos, fetchSize);
  return [
    `     replaying: ${bar}  ${percentOf(replayPos, fetchSize).toFixed(2)}%  (${whole.amounts.join('/')})${whole.unit}  logs: [${logNumbers(amounts)}]`,
    fetchLine(job, amounts),
    replayLine(job, amounts),
  ];
}

/** `3`, `3::4`, `3..5`, `3::4..6`. */
function logNumbers({ replayLognr, fetchLognr, workLognr }: LogAmounts): string {
  const fetched = fetchLognr > replayLognr ? `::${fetchLognr}` : '';
  return `${replayLognr}${fetched}${workLognr > fetchLognr ? `..${workLognr}` : ''}`;
}

function fetchLine(job: Job, { fetchPos, fetchSize }: LogAmounts): string {
  const rest = fetchSize - fetchPos;
  const rate = rateOf(job, 'file');
  const remain = remainOf(rest, rate);
  const age = remain === 0 ? null : newestVersionAge(job.snapshot, job.resource, job.host, job.tree.nowNs);
  return `       > fetch: ${humanNumber(rest)}${ageText(job, age)} rate: ${humanNumber(rate)}/s remaining: ${humanSeconds(remain)}`;
}

function replayLine(job: Job, { replayPos, fetchPos }: LogAmounts): string {
  const rest = fetchPos - replayPos;
  const rate = rateOf(job, 'replay');
  const remain = remainOf(rest, rate);
  const stampNs = job.snapshot.stampNs(paths.replay(job.resource, job.host));
  const age = remain === 0 || stampNs === null ? null : Number((job.tree.nowNs - stampNs) / NS_PER_SECOND);
  return `       > replay: ${humanNumber(rest)}${ageText(job, age)} rate: ${humanNumber(rate)}/s remaining: ${humanSeconds(remain)}`;
}

function ageText({ session }: Job, age: number | null): string {
  return age !== null && age >= session.options.window ? ` age: ${humanSeconds(age)}` : '';
}
