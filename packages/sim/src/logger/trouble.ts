import type { SeededRandom } from '@mars/brick-core';
import type { FaultRule } from '../disk/faults.js';
import type { SimHost } from '../world/host.js';
import type { LoggerSettings } from './keeper.js';

const EIO = 5;
const ENOSPC = 28;

/** What goes wrong below a logger: its log, its data device, or both. */
const TROUBLES: readonly ((random: SeededRandom) => FaultRule)[] = [
  (random) => ({ on: 'write', path: 'log-', nth: 1 + random.int(30), times: 1 + random.int(3), errno: EIO }),
  (random) => ({ on: 'write', path: 'log-', nth: 1 + random.int(30), times: 1 + random.int(40), errno: ENOSPC }),
  (random) => ({ on: 'sync', path: 'log-', nth: 1 + random.int(10), errno: EIO, loses: true }),
  () => ({ on: 'write', path: 'log-', rate: 0.05, short: true }),
  (random) => ({ on: 'write', path: 'vda', nth: 1 + random.int(30), times: 1 + random.int(5), errno: EIO }),
  (random) => ({ on: 'sync', path: 'vda', nth: 1 + random.int(5), errno: EIO, loses: true }),
  () => ({ on: 'read', path: 'vda', rate: 0.05, errno: EIO }),
  () => ({ on: ['write', 'sync'], path: 'vda', rate: 0.2, slow: { minUs: 1000, maxUs: 20_000 } }),
  () => ({ on: ['write', 'sync'], path: 'log-', rate: 0.2, slow: { minUs: 1000, maxUs: 20_000 } }),
];

/** Puts one to three of them into the disk of a host. */
export function drawTrouble(host: SimHost, random: SeededRandom): void {
  for (let n = 1 + random.int(3); n > 0; n--) host.disk.fault(TROUBLES[random.int(TROUBLES.length)]!(random));
}

/** What the logger does when its log fails; `bypass` has a story of its own. */
export function drawAnswerToTrouble(settings: LoggerSettings, random: SeededRandom): void {
  settings.logger['on-log-error'] = random.int(2) === 0 ? 'hold' : 'fail';
}
