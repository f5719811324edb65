import type { SeededRandom } from '@mars/brick-core';
import { RecordEncoder, areaOf, newRecordMeta } from '@mars/bricks-logger/log-format';
import { SECTOR_BYTES, stampSector } from '../front/sector-stamp.js';
import type { LoggerJudge } from './judge.js';

export interface LogPlan {
  records: number;
  /** Longest record, sectors. */
  longest: number;
  /** Share of the records that hit a few sectors only, so that there are overlaps. */
  hot: number;
}

/**
 * Makes a logfile as a primary writes it, of writes that a judge knows.
 * @returns its bytes
 */
export function makeLog(judge: LoggerJudge, random: SeededRandom, plan: LogPlan): Uint8Array {
  const encoder = new RecordEncoder({ compression: random.int(4) === 0 ? 'lz4' : 'none' });
  const words = new Uint32Array((plan.longest * SECTOR_BYTES) / 4);
  const payload = areaOf(new Uint8Array(words.buffer));
  const target = areaOf(new Uint8Array(plan.records * (words.byteLength + 84)));
  const { sectorCount } = judge.history;
  let at = 0;
  for (let seq = 1; seq <= plan.records; seq++) {
    const count = 1 + random.int(plan.longest);
    const sectors = random.float() < plan.hot ? Math.min(sectorCount, 2 * plan.longest) : sectorCount;
    const first = random.int(sectors - count + 1);
    const write = judge.issueWrite(first * SECTOR_BYTES, count * SECTOR_BYTES, { isZero: random.int(20) === 0 });
    for (let i = 0; i < count; i++) {
      if (write.content === 0) words.fill(0, (i * SECTOR_BYTES) / 4, ((i + 1) * SECTOR_BYTES) / 4);
      else stampSector(words, (i * SECTOR_BYTES) / 4, write.nr, first + i);
    }
    const meta = { ...newRecordMeta(), pos: first * SECTOR_BYTES, seq };
    at += encoder.encode(target, at, target.bytes.length, meta, payload, 0, count * SECTOR_BYTES);
  }
  return target.bytes.slice(0, at);
}
