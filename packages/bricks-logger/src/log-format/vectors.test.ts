import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { DecodedRecord } from './decode.js';
import { DIGEST_PREFERENCE } from './digests.js';
import { dumpEnd, dumpRecord } from './dump.js';
import { DETAIL_TEXTS } from './details.js';
import { RecordEncoder } from './encode.js';
import { FLAG, areaOf } from './layout.js';
import { hexOf, scanBytes, workedPayload } from './support.test.kit.js';

/** The format document is the source of these vectors, so it cannot fall behind the code, nor the code behind it. */
const DOCUMENT = new URL('../../../../docs/formats/log.md', import.meta.url);

interface Vector {
  name: string;
  bytes: Uint8Array;
  mayEncode: boolean;
  records: string[];
  end: string;
}

function parseVectors(text: string): Map<string, Vector> {
  const all = new Map<string, Vector>();
  for (const [, block] of text.matchAll(/^```vector\n(.*?)^```$/gms)) {
    const vector = parseVector(block!, all);
    assert.ok(!all.has(vector.name), `two vectors are called ${vector.name}`);
    all.set(vector.name, vector);
  }
  return all;
}

function parseVector(block: string, earlier: ReadonlyMap<string, Vector>): Vector {
  const vector: Vector = { name: '', bytes: new Uint8Array(0), mayEncode: false, records: [], end: '' };
  let hex = '';
  for (const line of block.split('\n')) {
    const [, key, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
    if (key === 'name') vector.name = value!;
    else if (key === 'encode') vector.mayEncode = value === 'yes';
    else if (key === 'base') vector.bytes = earlier.get(value!)!.bytes.slice();
    else if (key === 'patch') applyPatch(vector.bytes, value!);
    else if (key === 'record') vector.records.push(value!);
    else if (key === 'end') vector.end = value!;
    else if (line.startsWith('  ')) hex += line.replaceAll(' ', '');
  }
  if (hex !== '') vector.bytes = Uint8Array.from(Buffer.from(hex, 'hex'));
  return vector;
}

function applyPatch(bytes: Uint8Array, text: string): void {
  const [at, hex] = text.split(' ');
  bytes.set(Buffer.from(hex!, 'hex'), Number(at));
}

/** Encodes a record again from nothing but its decoded fields. */
function encodeAgain(r: DecodedRecord): string {
  const digest = DIGEST_PREFERENCE.find((name) => name === r.digest)!;
  const encoder = new RecordEncoder({ digests: [digest], compression: r.compression });
  const target = areaOf(new Uint8Array(32767));
  const payload = areaOf(r.payload.slice(r.payloadAt, r.payloadAt + r.payloadLen));
  const n = encoder.encode(target, 0, 32767, r, payload, 0, r.payloadLen);
  return hexOf(target.bytes.subarray(0, n));
}

describe('the test vectors of docs/formats/log.md', () => {
  const text = readFileSync(DOCUMENT, 'utf8');
  const vectors = parseVectors(text);

  it('are there', () => {
    assert.ok(vectors.size >= 25);
    for (const flag of Object.keys(FLAG)) assert.match(text, new RegExp(flag.replace('md5Old', 'md5-old')));
  });

  it('start with the worked example, whose payload is what the text says', () => {
    const { bytes } = vectors.get('crc32c')!;
    assert.equal(bytes.length, 596);
    assert.equal(hexOf(bytes.subarray(48, 560)), hexOf(workedPayload()));
  });

  for (const vector of vectors.values()) {
    it(`${vector.name}: decodes as the document says`, () => {
      const records: string[] = [];
      const encoded: string[] = [];
      const scan = scanBytes(vector.bytes, {}, (r, offset) => {
        records.push(JSON.stringify(dumpRecord(r, offset)));
        if (vector.mayEncode) encoded.push(encodeAgain(r));
      });
      assert.deepEqual(records, vector.records);
      assert.equal(JSON.stringify(dumpEnd(scan)), vector.end);
      if (vector.mayEncode) assert.equal(encoded.join(''), hexOf(vector.bytes.subarray(0, scan.goodEnd)));
    });
  }

  it('and every detail of the registry has a text in the code, and the other way round', () => {
    const section = text.slice(text.indexOf('### 7.4'), text.indexOf('## 8.'));
    const documented = new Set(
      [...section.matchAll(/\| (10\d{3}) \| ([^|]+) \|/g)].map((m) => `${m[1]} ${m[2]!.trim()}`),
    );
    const known = new Set(Object.entries(DETAIL_TEXTS).map(([detail, t]) => `${-Number(detail)} ${t.name}`));
    assert.deepEqual([...documented].sort(), [...known].sort());
  });
});
