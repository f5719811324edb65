import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RecordEncoder, areaOf, newRecordMeta } from '@mars/bricks-logger/log-format';

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));
const LIMIT_MS = 60_000;
const DISK_BYTES = 1024 * 1024;
const FIRST_SEC = 1477217630;

interface Ended {
  code: number | null;
  out: string;
  err: string;
}

/** Record n (from 0) writes its number over and over to block n, one second after the one before. */
function buildLog(count: number): { bytes: Buffer; offsets: number[] } {
  const target = areaOf(new Uint8Array(count * 700));
  const encoder = new RecordEncoder();
  const offsets = [0];
  let at = 0;
  for (let n = 0; n < count; n++) {
    const meta = { ...newRecordMeta(), stampSec: FIRST_SEC + n, stampNsec: 500_000_000, pos: 512 * n, seq: n + 1 };
    at += encoder.encode(target, at, target.bytes.length, meta, areaOf(payload(n)), 0, 512);
    offsets.push(at);
  }
  return { bytes: Buffer.from(target.bytes.slice(0, at)), offsets };
}

function payload(n: number): Uint8Array {
  return Uint8Array.from({ length: 512 }, (_, i) => ((i * i * 31) >> 4) + n * 7 + 1);
}

function diskAfter(records: number): Buffer {
  const disk = Buffer.alloc(DISK_BYTES);
  for (let n = 0; n < records; n++) disk.set(payload(n), 512 * n);
  return disk;
}

describe('mars-log', function () {
  this.timeout(2 * LIMIT_MS);
  const { bytes, offsets } = buildLog(20);
  let dir = '';
  let nr = 0;

  before(() => (dir = mkdtempSync(join(tmpdir(), 'mars-log-'))));
  after(() => rmSync(dir, { recursive: true }));

  const file = (content: Uint8Array): string => {
    const path = join(dir, `log-${String(++nr).padStart(9, '0')}-hostA`);
    writeFileSync(path, content);
    return path;
  };
  const disk = (): string => {
    const path = join(dir, `disk${++nr}`);
    writeFileSync(path, '');
    truncateSync(path, DISK_BYTES);
    return path;
  };
  const damaged = (at: number, byte = 0): Buffer => {
    const copy = Buffer.from(bytes);
    copy[at] = byte;
    return copy;
  };

  it('dumps one line per record and one for the end, with the keys that are promised', async () => {
    const { code, out } = await run('dump', file(bytes));
    const lines = out.trimEnd().split('\n');
    assert.deepEqual([code, lines.length], [0, 21]);
    const record = JSON.parse(lines[0]!) as Record<string, unknown>;
    assert.deepEqual(
      Object.keys(record),
      'type offset totalLen stampSec stampNsec pos storedLen expandedLen code seq flags check32 check16 digest compression verified payloadLen payloadSha256'.split(
        ' ',
      ),
    );
    const { check16, payloadSha256, ...plain } = record;
    assert.match(`${String(check16)} ${String(payloadSha256)}`, /^[0-9a-f]{32} [0-9a-f]{64}$/);
    assert.deepEqual(plain, {
      ...{ type: 'record', offset: 0, totalLen: 596, stampSec: String(FIRST_SEC), stampNsec: 500000000, pos: '0' },
      ...{ storedLen: 512, expandedLen: 0, code: 1, seq: 1, flags: 4, check32: 0, digest: 'crc32c' },
      ...{ compression: 'none', verified: true, payloadLen: 512 },
    });
    assert.equal(
      lines.at(-1),
      `{"type":"end","goodEnd":${bytes.length},"status":0,"detail":0,"byteCode":0,"replayCode":1}`,
    );
  });

  it('dumps a part, an empty log, a torn tail and a defect, each with its end line and exit code', async () => {
    const part = await run('dump', file(bytes), '--from', String(offsets[3]), '--to', String(offsets[5]));
    assert.match(
      part.out,
      /^\{"type":"record","offset":1788,.*\n.*\n\{"type":"end","goodEnd":2980,.*"replayCode":1\}\n$/,
    );
    const empty = await run('dump', file(Buffer.alloc(0)));
    assert.deepEqual(
      [empty.code, empty.out],
      [0, '{"type":"end","goodEnd":0,"status":0,"detail":0,"byteCode":0,"replayCode":0}\n'],
    );
    const torn = await run('dump', file(bytes.subarray(0, 900)));
    assert.equal(torn.code, 1);
    assert.match(
      torn.out,
      /\n\{"type":"end","goodEnd":596,"status":-11,"detail":-10006,"byteCode":0,"replayCode":2\}\n$/,
    );
    const bad = await run('dump', file(damaged(offsets[2]! + 100)));
    assert.equal(bad.code, 1);
    assert.match(
      bad.out,
      /\n\{"type":"end","goodEnd":1192,"status":-74,"detail":-10101,"byteCode":0,"replayCode":-74\}\n$/,
    );
  });

  it('verifies any number of files, says what is wrong and where, and exits with the worst verdict', async () => {
    const [good, bad] = [file(bytes), file(damaged(offsets[7]!))];
    assert.deepEqual(await run('verify', good), { code: 0, out: `${good}: good, 20 records, 11.6 KiB\n`, err: '' });
    const both = await run('verify', bad, good);
    assert.equal(both.code, 1);
    assert.match(
      both.out,
      /defective at offset 4172: code -74 \(EBADMSG\) detail -10013 \(bad start magic\).*\n {2}.*\n {2}.*\n.*: good, 20/,
    );
    const missing = await run('verify', good, join(dir, 'nobody'), bad);
    assert.equal(missing.code, 2);
    assert.match(missing.err, /nobody.*\n[^]*what to do:/);
    assert.match(missing.out, /good[^]*defective/, 'the other files are looked at all the same');
  });

  it('exits with 2 and a hint when the command line makes no sense, and with 0 after --help', async () => {
    const log = file(bytes);
    const wrong: string[][] = [
      [],
      ['verify'],
      ['frobnicate', log],
      ['dump', log, '--from', 'x'],
      ['dump', log, '--from', '999999999'],
      ['dump', log, '--from', '596', '--to', '10'],
      ['verify', dir],
      ['replay', log],
      ['replay', log, '--onto', join(dir, 'nobody')],
      ['replay', log, '--onto', dir],
      ['replay', log, '--onto', disk(), '--to', '2015-02-29'],
    ];
    for (const args of wrong) {
      const { code, err } = await run(...args);
      assert.equal(code, 2, args.join(' '));
      assert.match(err, /^mars-log: [A-Z_]+: .*\n[^]*what to do: /, args.join(' '));
    }
    for (const args of [['--help'], ['replay', '--help']]) {
      const { code, out } = await run(...args);
      assert.equal(code, 0);
      assert.match(out, /mars-log/);
    }
  });

  it('shows counts, time span and pictures', async () => {
    const { code, out } = await run('stat', file(bytes));
    assert.equal(code, 0);
    assert.match(out, /20 records/);
    assert.match(out, /2016-10-23 10:13:50\.500000000 … 2016-10-23 10:14:09\.500000000 UTC/);
    assert.match(out, /512 +20 +100\.0 % █+\n/);
    const data = JSON.parse((await run('stat', '--json', file(bytes))).out) as { records: number };
    assert.equal(data.records, 20);
  });

  it('shows what stands behind a defect', async () => {
    const log = file(damaged(offsets[7]! + 70));
    const { code, out } = await run('scan', log);
    assert.equal(code, 1);
    assert.match(
      out,
      /0…4172 good, 7 records[^]*4172…4768 defective[^]*4768…11920 good, 12 records[^]*inspection only/,
    );
  });

  it('replays a log onto a disk, also twice, and in parts', async () => {
    const [log, whole, parts] = [file(bytes), disk(), disk()];
    for (let i = 0; i < 2; i++) {
      const { code, out, err } = await run('replay', log, '--onto', whole);
      assert.deepEqual([code, err], [0, '']);
      assert.match(out, new RegExp(`applied 0…${bytes.length} to .*: 20 records, 10.0 KiB written`));
      assert.ok(readFileSync(whole).equals(diskAfter(20)));
    }
    assert.equal((await run('replay', log, '--onto', parts, '--to', String(offsets[11]))).code, 0);
    assert.ok(readFileSync(parts).equals(diskAfter(11)));
    assert.equal((await run('replay', log, '--onto', parts, '--from', String(offsets[11]))).code, 0);
    assert.ok(readFileSync(parts).equals(diskAfter(20)));
  });

  it('replays up to a moment', async () => {
    for (const [to, records] of [
      ['2016-10-23T10:13:54.5', 5],
      ['2016-10-23T10:13:54.4', 4],
      [`@${FIRST_SEC}`, 0],
      ['2030-01-01', 20],
    ] as const) {
      const target = disk();
      const { code } = await run('replay', file(bytes), '--onto', target, '--to', to);
      assert.equal(code, 0, to);
      assert.ok(readFileSync(target).equals(diskAfter(records)), to);
    }
  });

  it('replays up to the first defect, says so, and exits with 1', async () => {
    const target = disk();
    const { code, out } = await run('replay', file(damaged(offsets[9]! + 60)), '--onto', target);
    assert.equal(code, 1);
    assert.match(out, /applied 0…5364[^]*defective at offset 5364: code -74 .*detail -10101/);
    assert.ok(readFileSync(target).equals(diskAfter(9)));
    const boundary = await run('replay', file(bytes), '--onto', target, '--from', '4');
    assert.equal(boundary.code, 1);
    assert.match(boundary.out, /nothing to apply[^]*detail -10013/);
  });

  it('does not write behind the end of the disk', async () => {
    const target = disk();
    truncateSync(target, 512 * 6);
    const { code, out } = await run('replay', file(bytes), '--onto', target);
    assert.equal(code, 1);
    assert.match(out, /stopped with code -28[^]*--from 3576/);
    assert.ok(readFileSync(target).equals(diskAfter(6).subarray(0, 512 * 6)));
  });

  it('applies unverified records behind verified ones only after a confirmation', async () => {
    const log = Buffer.from(bytes);
    const trailer = offsets[12]! - 36;
    log.fill(0, trailer + 14, trailer + 16).fill(0, trailer + 20, trailer + 36);
    const [path, target] = [file(log), disk()];
    assert.equal((await run('replay', path, '--onto', target)).code, 1);
    assert.ok(readFileSync(target).equals(diskAfter(11)));
    const asked = await run('replay', path, '--onto', target, '--accept-unverified');
    assert.equal(asked.code, 2);
    assert.match(asked.err, /needs a confirmation/);
    assert.ok(readFileSync(target).equals(diskAfter(11)), 'nothing was changed');
    const told = await run('replay', path, '--onto', target, '--accept-unverified', '--yes', '--json');
    assert.equal(told.code, 0);
    const result = JSON.parse(told.out) as { replayCode: string; counts: { unverified: number } };
    assert.deepEqual([result.replayCode, result.counts.unverified], ['1', 1]);
    assert.ok(readFileSync(target).equals(diskAfter(20)));
  });

  it('ends quietly when its reader goes away', async () => {
    const log = file(buildLog(2000).bytes);
    const child = spawn(process.execPath, [MAIN, 'dump', log], { stdio: ['ignore', 'pipe', 'pipe'] });
    let err = '';
    child.stderr.on('data', (text: Buffer) => (err += text.toString()));
    child.stdout.once('data', () => child.stdout.destroy());
    const code = await new Promise((resolve) => child.on('close', resolve));
    assert.deepEqual([code, err], [0, '']);
  });

  function run(...args: string[]): Promise<Ended> {
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
      const ended: Ended = { code: null, out: '', err: '' };
      child.stdout.on('data', (text: Buffer) => (ended.out += text.toString()));
      child.stderr.on('data', (text: Buffer) => (ended.err += text.toString()));
      const limit = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
      child.on('error', reject);
      child.on('close', (code) => {
        clearTimeout(limit);
        resolve({ ...ended, code });
      });
    });
  }
});
