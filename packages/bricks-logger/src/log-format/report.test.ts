import assert from 'node:assert/strict';
import { replayCodeText, replayStateName } from './details.js';
import {
  bar,
  bytesText,
  dumpEndLine,
  dumpRecordLine,
  exitStatusOf,
  stampText,
  statLines,
  surveyLines,
  verifyLines,
} from './report.js';
import { surveyLog } from './resync.js';
import { readerOf } from './scan.js';
import { buildLog, lcgBytes, patched, scanBytes, wordText } from './support.test.kit.js';

const plain = { payload: lcgBytes(512) };
const log = buildLog([
  plain,
  plain,
  { payload: wordText(4096), encoder: { compression: 'lzo' }, stampSec: 1477217650 },
]);

describe('what mars-log says', () => {
  it('dump: the keys of a record line and of the end line, in their order', () => {
    const lines: string[] = [];
    const scan = scanBytes(log.bytes, {}, (r, offset) => void lines.push(dumpRecordLine(r, offset)));
    const keys = (line: string): string => Object.keys(JSON.parse(line) as object).join(' ');
    assert.equal(
      keys(lines[0]!),
      'type offset totalLen stampSec stampNsec pos storedLen expandedLen code seq flags check32 check16 digest ' +
        'compression verified payloadLen payloadSha256',
    );
    assert.equal(keys(dumpEndLine(scan)), 'type goodEnd status detail byteCode replayCode');
  });

  it('dump: 64-bit fields keep all their digits', () => {
    const wide = patched(log.bytes, 12, [255, 255, 255, 255, 255, 255, 255, 127]);
    scanBytes(wide, { to: 596 }, (r, offset) => {
      assert.match(dumpRecordLine(r, offset), /"stampSec":"9223372036854775807"/);
    });
  });

  it('verify: one line and status 0 for a good log', () => {
    const scan = scanBytes(log.bytes);
    assert.equal(exitStatusOf(scan), 0);
    assert.deepEqual(verifyLines('log-1', scan), [`log-1: good, 3 records, ${bytesText(log.bytes.length)}`]);
    const empty = scanBytes(new Uint8Array(0));
    assert.deepEqual([exitStatusOf(empty), verifyLines('log-2', empty)], [0, ['log-2: good, empty']]);
  });

  it('verify: offset, code and detail, what it means and what helps, for a defect', () => {
    const scan = scanBytes(patched(log.bytes, 700, [1, 2]));
    assert.equal(exitStatusOf(scan), 1);
    const [verdict, meaning, remedy] = verifyLines('log-1', scan);
    assert.equal(
      verdict,
      'log-1: defective at offset 596: code -74 (EBADMSG) detail -10101 (checksum mismatch), replay code -74,-10101, after 1 record, 596 bytes',
    );
    assert.equal(meaning, '  The payload differs from what was written.');
    assert.match(remedy!, /^ {2}Compare with the copy of another member/);
  });

  it('verify: tails of all kinds are status 1 and say what they are', () => {
    const short = scanBytes(log.bytes.subarray(0, 600));
    assert.match(verifyLines('f', short).join('\n'), /incomplete at offset 596: code 2 .*last 4 bytes/s);
    const cut = scanBytes(log.bytes.subarray(0, 900));
    assert.match(verifyLines('f', cut)[0]!, /incomplete at offset 596: code -11 \(EAGAIN\) detail -10006/);
    const zeros = scanBytes(Buffer.concat([log.bytes, new Uint8Array(200)]));
    assert.match(verifyLines('f', zeros).join('\n'), /zero tail.*the file grew before its data came/s);
    for (const scan of [short, cut, zeros]) assert.equal(exitStatusOf(scan), 1);
  });

  it('verify: a repeated byte and a zero trailer are named', () => {
    const repeated = scanBytes(patched(log.bytes, 560, new Array<number>(8).fill(0xff)));
    assert.match(
      verifyLines('f', repeated)[0]!,
      /detail -10021 \(repeated byte pattern\) byte 0xff, replay code -74,-10021,0xff/,
    );
    const zero = scanBytes(patched(log.bytes, 560, new Array<number>(8).fill(0)));
    assert.match(verifyLines('f', zero)[0]!, /code -85 \(ERESTART\) detail none \(zero trailer\), replay code -85/);
  });

  it('verify: records without a checksum are mentioned although the log is good', () => {
    const bare = buildLog([plain]).bytes;
    bare.fill(0, 560 + 14, 560 + 16);
    bare.fill(0x11, 580);
    const scan = scanBytes(bare);
    assert.equal(exitStatusOf(scan), 0);
    assert.match(verifyLines('f', scan)[1]!, /1 record without a checksum/);
  });

  it('stat: counts, sizes, times, and two pictures that fit the terminal', () => {
    for (const width of [40, 80, 200]) {
      const lines = statLines('log-1', scanBytes(log.bytes), width);
      const text = lines.join('\n');
      assert.match(text, /3 records/);
      assert.match(text, /2 none, 1 lzo/);
      assert.match(text, /2016-10-23 10:13:50\.123456789 … 2016-10-23 10:14:10\.123456789 UTC \(20\.000 s\)/);
      assert.match(text, /^ +512 +2 +66\.7 % █+$/m);
      assert.match(text, /█ +▄+$/m);
      const pictures = lines.slice(lines.indexOf('') + 2);
      for (const line of pictures) if (/[█▄]/.test(line)) assert.ok(line.length <= Math.max(40, width), line);
    }
  });

  it('stat: an empty log has no pictures', () => {
    assert.equal(statLines('log-1', scanBytes(new Uint8Array(0))).length, 2);
  });

  it('scan: good runs and defects, and that nobody may apply what is behind', async () => {
    const segments = await surveyLog(readerOf(patched(log.bytes, 596, [0])));
    const lines = surveyLines('f', segments);
    assert.match(lines[0]!, /^f: 0…596 good, 1 record/);
    assert.match(lines[1]!, /^f: 596…1192 defective, code -74 \(EBADMSG\) detail -10013/);
    assert.match(lines[2]!, /^f: 1192…\d+ good, 1 record.*sequence 3…3/);
    assert.match(lines[3]!, /inspection only/);
  });

  it('stamps are shown in UTC, and as they are where no calendar reaches', () => {
    for (const ms of [0, 951782400000, 951868800000, 1709164800000, 4102444800000, -1000, 253402300799000]) {
      const want = new Date(ms)
        .toISOString()
        .replace('T', ' ')
        .replace(/\.000Z$/, '.000000007');
      assert.equal(stampText(ms / 1000, 7), want);
    }
    assert.equal(stampText(2 ** 62, 0), `${2 ** 62}.000000000`);
  });

  it('bars are exact to an eighth and never hide the smallest', () => {
    assert.equal(bar(0, 10), '');
    assert.equal(bar(0.0001, 10), '▏');
    assert.equal(bar(1, 10), '██████████');
    assert.equal(bar(0.55, 10), '█████▌');
    assert.equal(bar(7, 10), '██████████');
  });

  it('replay codes are written and named as the original shows them', () => {
    assert.equal(replayCodeText(1, 0, 0), '1');
    assert.equal(replayCodeText(-74, -10101, 0), '-74,-10101');
    assert.equal(replayCodeText(-74, -10021, 5), '-74,-10021,0x05');
    assert.deepEqual([0, 1, 2, -85, -56, -74, -5].map(replayStateName), [
      'none',
      'finished',
      'stopped early',
      'IncompleteLog',
      'UnInitializedLogRecord',
      'DefectiveLog',
      'DefectiveLog',
    ]);
  });
});
