import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RealFiles } from '@mars/platform';
import { TotalLog, totalLine } from './total-log.js';

describe('5.total.log', () => {
  const dir = mkdtempSync(join(tmpdir(), 'mars-total-'));
  const path = join(dir, '5.total.log');
  const log = new TotalLog(new RealFiles(), path, { realNs: () => 5_000_000_001n, peek: () => 6_000_000_002n });
  const line = (msg: string): string =>
    JSON.stringify({ level: 'warn', time: 'x', pid: 1, me: 'nodea', path: '/a', msg });
  after(() => {
    log.close();
    rmSync(dir, { recursive: true });
  });

  it('is written only while somebody wants it', () => {
    log.round();
    log.write(line('unseen'));
    writeFileSync(path, 'before\n');
    log.round();
    log.write(line('one'));
    assert.equal(readFileSync(path, 'utf8'), 'before\n5.000000001 6.000000002 WARN one path=/a\n');
    rmSync(path);
    log.round();
    log.write(line('nowhere'));
    writeFileSync(path, '');
    log.round();
    log.write(line('two'));
    assert.equal(readFileSync(path, 'utf8'), '5.000000001 6.000000002 WARN two path=/a\n');
  });

  it('has one line for each, with the message of an error', () => {
    const text = JSON.stringify({
      level: 'error',
      err: { type: 'MarsError', message: 'a\nb', stack: 's' },
      n: 3,
      msg: 'failed',
    });
    assert.equal(totalLine(text), 'ERROR failed err=a b n=3');
  });
});
