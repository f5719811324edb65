import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { MarsError } from '@mars/brick-core';
import { encodeBye } from './channel/bye.js';
import { FRAME_BYE, FRAME_DEFINE, FRAME_MESSAGE, FRAME_PING, FRAME_RAW, putFrameHeader } from './channel/frames.js';
import { Session } from './channel/session.js';
import { greet, welcome } from './channel/handshake.js';
import { ByteReader, ByteWriter } from './struct/bytes.js';
import { Definitions, encodeFields } from './struct/encode.js';
import { defineStruct, t } from './struct/struct.js';
import { ManualClock, MemoryLink } from './testing/memory-stream.js';
import { decodeToken, encodeToken, isSealed } from './trust/token.js';

// The vectors of docs/formats/wire.md: what they say is what we write, and what we read. MARS_UPDATE_DOCS=1 writes them anew.
const page = new URL('../../../docs/formats/wire.md', import.meta.url);
const STAMP_NS = 1_795_191_001_250_000_000n;

const POINT = defineStruct('example.point', { x: t.int, y: t.int });
const NOTE = defineStruct('example.note', {
  path: t.str,
  stampNs: t.bigint,
  isLast: t.bool,
  points: t.list(t.struct(POINT)),
  hint: t.optional(t.str),
});
const BLOCK = defineStruct('example.block', { posBytes: t.int });
const note = {
  path: '/mars/uuid',
  stampNs: STAMP_NS,
  isLast: true,
  points: [
    { x: 1, y: -1 },
    { x: 64, y: 0 },
  ],
  hint: null,
};

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const unhex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex');

function frame(type: number, trafficClass: number, body: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(16 + body.length);
  putFrameHeader(bytes, 0, type, 0, trafficClass, STAMP_NS, body.length);
  bytes.set(body, 16);
  return bytes;
}

function written(write: (out: ByteWriter) => void): Uint8Array {
  const out = new ByteWriter();
  write(out);
  return out.view();
}

/** Definitions of a fresh channel, in order, and the message that needs them. */
function noteFrames(): Uint8Array[] {
  const frames: Uint8Array[] = [];
  const number = new Definitions().numberOf(NOTE, new ByteWriter(), (body) =>
    frames.push(frame(FRAME_DEFINE, 0, body)),
  );
  const body = written((out) => {
    out.varint(number);
    encodeFields(out, NOTE, note);
  });
  return [...frames, frame(FRAME_MESSAGE, 1, body)];
}

function rawFrame(): Uint8Array {
  const header = written((out) => {
    out.varint(2);
    encodeFields(out, BLOCK, { posBytes: 4096 });
  });
  return frame(FRAME_RAW, 2, Buffer.concat([Buffer.of(header.length, 0), header, Buffer.from('payload')]));
}

const TOKEN = {
  caFingerprintHex: '11'.repeat(32),
  inviterFingerprintHex: '22'.repeat(32),
  nonceHex: '33'.repeat(16),
  expiresMs: 1_795_194_601_250,
  inviter: 'nodea',
  address: { host: '192.0.2.1', port: 7777 },
};
const TOKEN_KEY = Buffer.alloc(32, 0x44);

const vectors: Record<string, string[]> = {
  numbers: [0, 1, -1, 63, 64, -64, 8191, 8192, 4096, Number.MAX_SAFE_INTEGER].map(
    (value) => `${value} ${hex(written((out) => out.int(value)))}`,
  ),
  stamp: [`${STAMP_NS} ${hex(written((out) => out.bigint(STAMP_NS)))}`],
  'define-point': [hex(noteFrames()[0]!)],
  'define-note': [hex(noteFrames()[1]!)],
  'message-note': [hex(noteFrames()[2]!)],
  'raw-block': [hex(rawFrame())],
  ping: [hex(frame(FRAME_PING, 0, new Uint8Array(0)))],
  'bye-orderly': [hex(frame(FRAME_BYE, 0, encodeBye(null)))],
  'bye-refused': [
    hex(frame(FRAME_BYE, 0, encodeBye(new MarsError('PEER_REFUSED', 'gone', { details: { reason: 'no-member' } })))),
  ],
  token: [encodeToken(TOKEN, TOKEN_KEY)],
};

/** ```wire-vector NAME … ``` */
function blocksOf(text: string): Map<string, string[]> {
  const blocks = [...text.matchAll(/^```wire-vector ([a-z-]+)\n([^`]*)```$/gm)];
  return new Map(blocks.map(([, name, body]) => [name!, body!.trim().split('\n')]));
}

describe('docs/formats/wire.md', () => {
  before(() => {
    if (process.env['MARS_UPDATE_DOCS'] === undefined) return;
    const text = readFileSync(page, 'utf8').replace(
      /^```wire-vector ([a-z-]+)\n[^`]*```$/gm,
      (_, name: string) => `\`\`\`wire-vector ${name}\n${(vectors[name] ?? []).join('\n')}\n\`\`\``,
    );
    writeFileSync(page, text);
  });

  for (const [name, lines] of Object.entries(vectors)) {
    it(`shows the bytes of ${name} as we write them`, () => {
      assert.deepEqual(blocksOf(readFileSync(page, 'utf8')).get(name), lines);
    });
  }

  it('has no vectors that nobody checks', () => {
    assert.deepEqual([...blocksOf(readFileSync(page, 'utf8')).keys()].sort(), Object.keys(vectors).sort());
  });

  it('shows numbers as we read them', () => {
    for (const line of vectors['numbers']!) {
      const [value, bytes] = line.split(' ');
      assert.equal(new ByteReader(unhex(bytes!)).int(), Number(value));
    }
  });

  it('shows a conversation that we understand', async () => {
    const link = new MemoryLink();
    const clock = new ManualClock();
    const session = new Session({ stream: link.b, clock, stamps: { now: () => 0n, seen: (ns) => seen.push(ns) } });
    const seen: bigint[] = [];
    const met = welcome(session, { clock, me: { host: 'b', purpose: '', version: '', capabilities: [], successions: [] }, admit: () => null, isMember: () => true }); // prettier-ignore
    const opener = new Session({ stream: link.a, clock, stamps: { now: () => 0n, seen: () => {} } });
    greet(opener, { clock, me: { host: 'a', purpose: 'tree', version: '', capabilities: [], successions: [] }, admit: () => null, isMember: () => true }).catch(() => {}); // prettier-ignore
    await link.run();
    await met;
    opener.start();
    const got: unknown[] = [];
    session.on(NOTE, (message) => got.push(message));
    session.onRaw(BLOCK, {
      begin: (header, bytes) => got.push([header, bytes]),
      data: (bytes) => got.push(Buffer.from(bytes).toString()),
      end: () => {},
    });
    const end = new Promise((resolve) => session.onClose(resolve));
    session.start();
    // The hello has defined two structs, so the numbers of the page are two too small here: only its bytes are changed.
    const shifted = noteFrames().map((bytes) => Buffer.from(bytes));
    shifted[0]![16]! += 2;
    shifted[1]![16]! += 2;
    const inner = shifted[1]!.lastIndexOf(Buffer.of(6, 8, 0));
    shifted[1]![inner + 2]! += 2;
    shifted[2]![16]! += 2;
    for (const bytes of shifted) link.a.write(bytes);
    const blockDefinition = new Definitions();
    blockDefinition.numberOf(BLOCK, new ByteWriter(), (body) => {
      const bytes = Buffer.from(frame(FRAME_DEFINE, 0, body));
      bytes[16] = 4;
      link.a.write(bytes);
    });
    const raw = Buffer.from(rawFrame());
    raw[18] = 4;
    link.a.write(raw);
    link.a.write(frame(FRAME_PING, 0, new Uint8Array(0)));
    link.a.write(unhex(vectors['bye-refused']![0]!));
    await link.run();
    assert.deepEqual(got, [note, [{ posBytes: 4096 }, 7], 'payload']);
    assert.ok(seen.every((ns) => ns === STAMP_NS || ns === 0n));
    const error = (await end) as MarsError;
    assert.deepEqual([error.code, error.details['reason']], ['PEER_REFUSED', 'no-member']);
  });

  it('shows a token that we can read and check', () => {
    const line = blocksOf(readFileSync(page, 'utf8')).get('token')![0]!;
    assert.deepEqual(decodeToken(line), TOKEN);
    assert.ok(isSealed(line, TOKEN_KEY));
    assert.ok(!isSealed(line, Buffer.alloc(32)));
  });
});
