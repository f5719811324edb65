import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { MarsError } from '@mars/brick-core';
import { createLogger } from './log.js';
import { REPEAT_WINDOW_MS, REPEATS_PER_WINDOW, RepeatFilter } from './log-repeats.js';
import { LogSink } from './log-sink.js';
import { sandbox } from './testing/index.js';

describe('createLogger', () => {
  const dir = sandbox();

  it('writes constant messages with facts as fields, and errors with their causes', () => {
    const lines: string[] = [];
    const log = createLogger({
      level: 'info',
      destination: { write: (line) => lines.push(line) },
      fields: { host: 'a' },
    });
    const err = new MarsError('FILE_IO', 'cannot write', { cause: new Error('disk on fire'), hint: 'water' });
    log.child({ brick: 'aio' }).error({ err, posBytes: 5 }, 'write failed');
    log.debug({}, 'not at this level');
    assert.equal(lines.length, 1);
    const line = JSON.parse(lines[0]!) as Record<string, unknown>;
    assert.deepEqual(
      [line['level'], line['host'], line['brick'], line['posBytes'], line['msg']],
      ['error', 'a', 'aio', 5, 'write failed'],
    );
    assert.match(JSON.stringify(line['err']), /disk on fire/);
    assert.match(JSON.stringify(line['err']), /water/);
  });

  it('keeps a log file and its predecessors within their bounds', () => {
    const path = dir.file('log');
    const log = createLogger({ destination: { path, maxBytes: 2000, keep: 2 } });
    for (let i = 0; i < 200; i++) log.info({ i }, `message ${i}`);
    log.close();
    for (const file of [path, `${path}.1`, `${path}.2`]) assert.ok(statSync(file).size <= 2000, file);
    assert.ok(!existsSync(`${path}.3`));
    assert.match(readFileSync(path, 'utf8'), /message 199/);
  });

  it('goes on in an existing file', () => {
    const path = dir.file('log');
    writeFileSync(path, 'before\n');
    const log = createLogger({ destination: { path } });
    log.info({}, 'after');
    log.close();
    assert.match(readFileSync(path, 'utf8'), /^before\n.*after/);
  });

  it('survives a disk that takes nothing, and says afterwards how many lines were lost', () => {
    const sink = new LogSink({ path: '/dev/full', maxBytes: 1000, keep: 0 });
    sink.write('one\n');
    sink.write('two\n');
    assert.equal(sink.lostLines, 2);
    sink.close();
  });

  it('drops repeats within a window and counts them into the first line after it', () => {
    const filter = new RepeatFilter();
    const admitted = Array.from({ length: 50 }, () => filter.admit('m', 0)).filter((dropped) => dropped >= 0);
    assert.equal(admitted.length, REPEATS_PER_WINDOW);
    assert.equal(filter.admit('other', 0), 0);
    assert.equal(filter.admit('m', REPEAT_WINDOW_MS), 50 - REPEATS_PER_WINDOW);
    assert.equal(filter.admit('m', REPEAT_WINDOW_MS + 1), 0);
  });
});
