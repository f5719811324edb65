import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  DT_FILE,
  FUSE_BATCH_FORGET,
  FUSE_FORGET,
  FUSE_INIT,
  FUSE_INTERRUPT,
  FUSE_LOOKUP,
  FUSE_READ,
  FUSE_WRITE,
  FuseAnswer,
  FuseRequest,
} from './index.js';

/** A message as the kernel writes it: header and body, from numbers. */
function message(opcode: number, body: Uint8Array, { unique = 5n, node = 7n, pid = 9 } = {}): Buffer {
  const m = Buffer.alloc(40 + body.length);
  m.writeUInt32LE(m.length, 0);
  m.writeUInt32LE(opcode, 4);
  m.writeBigUInt64LE(unique, 8);
  m.writeBigUInt64LE(node, 16);
  m.writeUInt32LE(1000, 24);
  m.writeUInt32LE(100, 28);
  m.writeUInt32LE(pid, 32);
  m.set(body, 40);
  return m;
}

function parse(bytes: Buffer): FuseRequest {
  const request = new FuseRequest();
  // Somewhere inside a larger buffer, as in an arena.
  const arena = Buffer.alloc(bytes.length + 100);
  arena.set(bytes, 64);
  const view = new DataView(arena.buffer, arena.byteOffset, arena.length);
  assert.ok(request.at(view, 64, bytes.length));
  return request;
}

describe('FuseRequest', () => {
  it('reads the header, with all bits of the number that the answer repeats', () => {
    const request = parse(
      message(FUSE_LOOKUP, Buffer.from('trigger\0'), { unique: 0x8000_0001_ffff_fffen, node: 2n ** 40n }),
    );
    assert.deepEqual(
      [request.opcode, request.uniqueLow, request.uniqueHigh, request.node, request.pid, request.uid],
      [FUSE_LOOKUP, 0xffff_fffe, 0x8000_0001, 2 ** 40, 9, 1000],
    );
    assert.equal(request.name, 'trigger');
  });

  it('reads positions beyond 4 GiB and data of any length', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.uint8Array({ maxLength: 100 }), fc.nat(), (position, data, handle) => {
        const body = Buffer.alloc(40 + data.length);
        body.writeBigUInt64LE(BigInt(handle), 0);
        body.writeBigUInt64LE(BigInt(position), 8);
        body.writeUInt32LE(data.length, 16);
        body.set(data, 40);
        const bytes = message(FUSE_WRITE, body);
        const request = parse(bytes);
        assert.deepEqual([request.handle, request.position, request.size], [handle, position, data.length]);
        assert.equal(request.dataAt - request.body, 40);
      }),
      { seed: 1, numRuns: 200 },
    );
  });

  it('takes the upper features only from kernels that send them', () => {
    const short = Buffer.alloc(16);
    short.writeUInt32LE(7, 0);
    short.writeUInt32LE(31, 4);
    assert.deepEqual(
      [parse(message(FUSE_INIT, short)).initMinor, parse(message(FUSE_INIT, short)).initFlags2],
      [31, 0],
    );
    const long = Buffer.alloc(64);
    long.writeUInt32LE(0x80, 16);
    assert.equal(parse(message(FUSE_INIT, long)).initFlags2, 0x80);
  });

  it('knows the requests that must not be answered', () => {
    const silent = [FUSE_FORGET, FUSE_BATCH_FORGET, FUSE_INTERRUPT];
    for (const opcode of [...silent, FUSE_READ]) {
      assert.equal(parse(message(opcode, Buffer.alloc(40))).wantsAnswer, !silent.includes(opcode));
    }
  });

  it('refuses what is not a whole message', () => {
    const request = new FuseRequest();
    const bytes = message(FUSE_READ, Buffer.alloc(40));
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    assert.equal(request.at(view, 0, bytes.length - 1), false);
    assert.equal(request.at(view, 0, 39), false);
  });
});

describe('FuseAnswer', () => {
  const buffer = Buffer.alloc(4096, 0xee);
  const answer = new FuseAnswer(new DataView(buffer.buffer, buffer.byteOffset, buffer.length));
  const attributes = {
    node: 3,
    sizeBytes: 2 ** 33 + 1,
    mode: 0o100600,
    links: 1,
    uid: 1,
    gid: 2,
    timeSec: 2 ** 32 + 9,
    timeNs: 8,
  };

  it('answers an errno as a negative number in a bare header', () => {
    assert.equal(answer.status(0xffff_fffe, 1, 13), 16);
    assert.deepEqual(
      [buffer.readUInt32LE(0), buffer.readInt32LE(4), buffer.readBigUInt64LE(8)],
      [16, -13, 0x1_ffff_fffen],
    );
  });

  it('puts attributes where the kernel expects them, and zeroes what is reserved', () => {
    assert.equal(answer.attr(1, 0, attributes, 1500), 16 + 104);
    assert.deepEqual([buffer.readBigUInt64LE(16), buffer.readUInt32LE(24)], [1n, 500_000_000]);
    const attr = buffer.subarray(32);
    assert.equal(attr.readBigUInt64LE(8), 2n ** 33n + 1n);
    assert.equal(attr.readBigUInt64LE(32), 2n ** 32n + 9n);
    assert.equal(attr.readUInt32LE(60), 0o100600);
    assert.deepEqual([attr.readUInt32LE(68), attr.readUInt32LE(72), attr.readUInt32LE(84)], [1, 2, 0]);
    assert.equal(answer.entry(1, 0, attributes, 0), 16 + 128);
    assert.equal(buffer.readBigUInt64LE(16), 3n);
    assert.equal(buffer.subarray(16 + 40).readUInt32LE(60), 0o100600);
  });

  it('offers what it is told to offer', () => {
    const offer = {
      minor: 31,
      readAheadBytes: 0,
      flags: 0x4000_0000,
      flags2: 0x80,
      maxWriteBytes: 1 << 20,
      maxPages: 256,
      maxBackground: 128,
    };
    assert.equal(answer.init(1, 0, offer), 16 + 64);
    const out = buffer.subarray(16);
    assert.deepEqual(
      [0, 4, 12, 20, 32].map((at) => out.readUInt32LE(at)),
      [7, 31, 0x4000_0000, 1 << 20, 0x80],
    );
    assert.deepEqual(
      [16, 18, 28].map((at) => out.readUInt16LE(at)),
      [128, 96, 256],
    );
  });

  it('packs directory entries to multiples of eight bytes until there is no room', () => {
    let used = 0;
    const names = ['a', 'trigger', 'lamport_clock'];
    for (const [i, name] of names.entries()) {
      used = answer.directoryEntry(used, 4000, i + 2, i + 1, DT_FILE, Buffer.from(name));
    }
    assert.equal(used, 32 + 32 + 40);
    assert.equal(answer.directoryEntry(used, used + 31, 9, 9, DT_FILE, Buffer.from('b')), used);
    let at = 16;
    for (const [i, name] of names.entries()) {
      assert.equal(buffer.readBigUInt64LE(at), BigInt(i + 2));
      assert.equal(buffer.readBigUInt64LE(at + 8), BigInt(i + 1));
      const length = buffer.readUInt32LE(at + 16);
      assert.equal(buffer.toString('latin1', at + 24, at + 24 + length), name);
      at += (24 + length + 7) & ~7;
    }
  });
});
