import assert from 'node:assert/strict';
import fc from 'fast-check';
import { DeviceMemory } from './device-memory.js';
import { GARBAGE, NOBODY, SECTOR_BYTES, readStamp, stampSector } from './sector-stamp.js';

const device = (): DeviceMemory => new DeviceMemory(8 * SECTOR_BYTES);
const mayRead = (memory: DeviceMemory, id: number, read = memory.issueRead()): boolean => {
  try {
    memory.judge(read, 0, id);
    return true;
  } catch {
    return false;
  }
};
const maySurvey = (memory: DeviceMemory, id: number): boolean => {
  try {
    memory.survey(0, id);
    return true;
  } catch {
    return false;
  }
};

describe('DeviceMemory', () => {
  it('allows nothing before the first write, and never garbage', () => {
    const memory = device();
    assert.ok(mayRead(memory, NOBODY));
    assert.ok(!mayRead(memory, GARBAGE));
    assert.ok(!mayRead(memory, 1));
  });

  it('demands an answered write from every read that is issued afterwards', () => {
    const memory = device();
    const early = memory.issueRead();
    const write = memory.issueWrite(0, SECTOR_BYTES);
    assert.ok(mayRead(memory, write.id), 'it may be there before it is answered');
    assert.ok(mayRead(memory, NOBODY));
    memory.answerWrite(write, false);
    assert.ok(!mayRead(memory, NOBODY));
    assert.ok(mayRead(memory, NOBODY, early), 'a read that was under way may be older');
  });

  it('allows either of two writes that were under way together, and only the later of two in turn', () => {
    const memory = device();
    const [one, two] = [memory.issueWrite(0, SECTOR_BYTES), memory.issueWrite(0, SECTOR_BYTES)];
    memory.answerWrite(two, false);
    memory.answerWrite(one, false);
    assert.ok(mayRead(memory, one.id) && mayRead(memory, two.id));
    const three = memory.issueWrite(0, SECTOR_BYTES);
    memory.answerWrite(three, false);
    assert.ok(!mayRead(memory, one.id) && !mayRead(memory, two.id) && mayRead(memory, three.id));
  });

  it('lets a read that was under way see what a durable write has replaced meanwhile', () => {
    const memory = device();
    const [old, young] = [memory.issueWrite(0, SECTOR_BYTES), memory.issueWrite(SECTOR_BYTES, SECTOR_BYTES)];
    memory.answerWrite(old, true);
    memory.answerWrite(young, true);
    const read = memory.issueRead();
    let last = old;
    for (let i = 0; i < 200; i++) {
      last = memory.issueWrite(0, SECTOR_BYTES);
      memory.answerWrite(last, true);
    }
    assert.ok(mayRead(memory, old.id, read));
    memory.endRead(read);
    assert.ok(mayRead(memory, last.id) && !mayRead(memory, old.id));
  });

  it('lets a failed write be there or not, for ever', () => {
    const memory = device();
    const write = memory.issueWrite(0, SECTOR_BYTES);
    memory.failWrite(write);
    assert.ok(mayRead(memory, write.id) && mayRead(memory, NOBODY));
  });

  it('lets a crash take what was answered only, and nothing that was FUA or flushed', () => {
    const memory = device();
    const fua = memory.issueWrite(0, SECTOR_BYTES);
    memory.answerWrite(fua, true);
    const flushed = memory.issueWrite(0, SECTOR_BYTES);
    memory.answerWrite(flushed, false);
    memory.answerFlush(memory.issueFlush());
    const answered = memory.issueWrite(0, SECTOR_BYTES);
    memory.answerWrite(answered, false);
    memory.crash();
    assert.ok(!maySurvey(memory, NOBODY) && !maySurvey(memory, fua.id));
    assert.ok(maySurvey(memory, flushed.id) && maySurvey(memory, answered.id));
  });

  it('does not count a write as flushed that was answered after the flush was issued', () => {
    const memory = device();
    const write = memory.issueWrite(0, SECTOR_BYTES);
    const flush = memory.issueFlush();
    memory.answerWrite(write, false);
    memory.answerFlush(flush);
    memory.crash();
    assert.ok(maySurvey(memory, NOBODY));
  });

  it('holds the device to what the survey has found', () => {
    const memory = device();
    const write = memory.issueWrite(0, SECTOR_BYTES);
    memory.answerWrite(write, false);
    memory.crash();
    for (let sector = 0; sector < 8; sector++) memory.survey(sector, NOBODY);
    memory.surveyDone();
    assert.ok(!memory.needsSurvey);
    assert.ok(!mayRead(memory, write.id));
    memory.crash();
    assert.ok(!maySurvey(memory, write.id));
  });

  it('finds holes in the order of the writes, when asked for a prefix', () => {
    const after = (kept: 'first' | 'second'): DeviceMemory => {
      const memory = device();
      const [one, two] = [memory.issueWrite(0, SECTOR_BYTES), memory.issueWrite(SECTOR_BYTES, SECTOR_BYTES)];
      memory.crash();
      memory.survey(0, kept === 'first' ? one.id : NOBODY);
      memory.survey(1, kept === 'second' ? two.id : NOBODY);
      return memory;
    };
    after('first').surveyDone({ prefix: true });
    assert.throws(() => after('second').surveyDone({ prefix: true }), /no prefix/);
    after('second').surveyDone();
  });
});

describe('Sector stamps', () => {
  it('tell which write a sector comes from, and find torn and misplaced ones', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 31 }), fc.nat(2 ** 20), fc.nat(126), (id, sector, tear) => {
        const words = new Uint32Array(256);
        stampSector(words, 0, id, sector);
        stampSector(words, 128, id + 1, sector);
        assert.equal(readStamp(words, 0, sector), id);
        assert.equal(readStamp(words, 0, sector + 1), GARBAGE);
        words.copyWithin(0, 128, 128 + tear + 1);
        assert.equal(readStamp(words, 0, sector), tear === 0 ? id : GARBAGE);
      }),
    );
    assert.equal(readStamp(new Uint32Array(128), 0, 5), NOBODY);
  });
});
