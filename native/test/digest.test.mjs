import assert from 'node:assert/strict';
import zlib from 'node:zlib';
import native from '../index.cjs';
import { Kit, HASH, OP, EFAULT, EINVAL, FLAG } from './kit.mjs';

const text = (s) => Buffer.from(s, 'latin1');

/** The payload of transaction-log.md 1.8: 64 lines of seven digits. */
const payload = text(Array.from({ length: 64 }, (_, i) => `${String(i).padStart(7, '0')}\n`).join(''));

/** Bit by bit, as the definition says: slow, and independent of the code under test. */
function crcByDefinition(bytes, polynomial, initial) {
  let crc = initial;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
  }
  return crc >>> 0;
}
const crc32cByDefinition = (bytes) => ~crcByDefinition(bytes, 0x82f63b78, 0xffffffff) >>> 0;
const crc32ByDefinition = (bytes) => crcByDefinition(bytes, 0xedb88320, 0);

function piecesByDefinition(bytes, crc) {
  const step = bytes.length >> 3;
  const out = Buffer.alloc(32);
  for (let k = 0; k < 8; k++)
    out.writeUInt32LE(crc(bytes.subarray(k * step, k < 7 ? (k + 1) * step : bytes.length)), 4 * k);
  return out;
}

function fold(d) {
  return Buffer.from(d.subarray(0, 16).map((byte, i) => byte ^ d[i + 16])).toString('hex');
}

function pseudoRandom(length, seed) {
  const out = Buffer.alloc(length);
  for (let i = 0, x = seed | 1; i < length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    out[i] = x;
  }
  return out;
}

describe('digests', () => {
  it('gives the known CRC-32C of "123456789" and of the log specification', () => {
    assert.equal(native.crc32c(text('123456789'), 0, 9), 0xe3069283);
    const out = Buffer.alloc(4);
    native.digest(HASH.CRC32C, text('abcdefg'), 0, 7, out);
    assert.equal(out.toString('hex'), '41f427e6');
    assert.equal(native.crc32c(Buffer.alloc(0), 0, 0), 0);
  });

  it('gives the CRC-32 of the log specification, which is not the one of zip', () => {
    const out = Buffer.alloc(4);
    native.digest(HASH.CRC32, text('abcdefg'), 0, 7, out);
    assert.equal(out.toString('hex'), 'd8b546ac');
    assert.equal(native.crc32(text('abcdefg'), 0, 7), 0xac46b5d8);
    if (zlib.crc32) assert.notEqual(native.crc32(text('abcdefg'), 0, 7), zlib.crc32('abcdefg'));
  });

  it('gives the eight-piece CRC-32C and CRC-32 of the worked example', () => {
    const d = Buffer.alloc(40, 0xee);
    assert.equal(native.crc32c8(payload, 0, 512, d, 4), 32);
    const expected = 'c1365daf7f515a034b690ec722c75e63568150ddd085b7056ee2b0a95adae46d';
    assert.equal(d.subarray(4, 36).toString('hex'), expected);
    assert.equal(d.subarray(0, 4).toString('hex') + d.subarray(36).toString('hex'), 'eeeeeeeeeeeeeeee');
    assert.equal(fold(d.subarray(4, 36)), '97b70d72afd4ed06258bbe6e781dba0e');
    native.crc32_8(payload, 0, 512, d, 0);
    assert.equal(fold(d), 'c7ad548a4ffdc8775cfa910f273cec43');
  });

  it('agrees with the definition at every alignment, length and seed, in hardware and in software', () => {
    const data = pseudoRandom(40_000, 4711);
    const lengths = [0, 1, 7, 8, 9, 63, 255, 256, 767, 768, 769, 1000, 4096, 4099, 12_287, 12_288, 12_289, 25_001];
    for (const length of lengths)
      for (const at of [0, 1, 3, 8, 13]) {
        const piece = data.subarray(at, at + length);
        const expected = crc32cByDefinition(piece);
        assert.equal(native.crc32c(data, at, length), expected, `crc32c at ${at}, ${length} bytes`);
        assert.equal(native.crc32cSoftware(data, at, length), expected);
        assert.equal(native.crc32(data, at, length), crc32ByDefinition(piece));
        const cut = length >> 1;
        assert.equal(
          native.crc32c(data, at + cut, length - cut, native.crc32c(data, at, cut)),
          expected,
          'in two parts',
        );
        assert.equal(native.crc32(data, at + cut, length - cut, native.crc32(data, at, cut)), crc32ByDefinition(piece));
      }
  });

  it('cuts eight pieces as the specification says, also for odd and tiny lengths', () => {
    const data = pseudoRandom(5000, 99);
    const out = Buffer.alloc(32);
    for (const length of [0, 1, 5, 7, 8, 9, 15, 16, 100, 511, 512, 4093, 4096]) {
      native.crc32c8(data, 3, length, out);
      assert.equal(
        out.toString('hex'),
        piecesByDefinition(data.subarray(3, 3 + length), crc32cByDefinition).toString('hex'),
      );
      native.crc32_8(data, 3, length, out);
      assert.equal(
        out.toString('hex'),
        piecesByDefinition(data.subarray(3, 3 + length), crc32ByDefinition).toString('hex'),
      );
    }
  });

  it('gives the XXH3 values of xxhsum, the tool of the xxHash project', () => {
    const data = pseudoRandom(100_000, 4711);
    const vectors = [
      [0, '2d06800538d394c2', '99aa06d3014798d86001c324468d497f'],
      [1, 'e6c632b61e964e1f', 'a96faf705af16834e6c632b61e964e1f'],
      [3, '9617b7c12aca9af9', 'c5ac811a4ec2a1369617b7c12aca9af9'],
      [16, '4d2f6554c1d46d45', '51ce593d4d33b16bc1203d409314b4b9'],
      [17, '917ef13fe8ffa35c', 'd37e39d4e40d35c89232ee10722fc7ef'],
      [128, '7ec7303eb047cba1', '9a46be4a9e11355355974520d227fad0'],
      [129, 'd388e9d03a238848', '6b1f460abae37507b3dbef658bd3fecc'],
      [240, '6a231605f075c6d3', '0d946eeeb81c7d22266c140d134a82ae'],
      [241, '0a7e0fae77fc0200', '173be49459de9c5f0a7e0fae77fc0200'],
      [1024, '928c2dc88bbf34a4', '6745b0ae0675d5be928c2dc88bbf34a4'],
      [4096, '984e0287620b0c30', 'deafd793a56a8039984e0287620b0c30'],
      [100000, '7b98250eb6919db5', '3022627007f347157b98250eb6919db5'],
    ];
    const out = Buffer.alloc(16);
    for (const [length, short, long] of vectors) {
      assert.equal(native.xxh3_64(data, 0, length).toString(16).padStart(16, '0'), short);
      native.xxh3_128(data, 0, length, out);
      assert.equal(out.reverse().toString('hex'), long); // the tool prints the highest byte first
      native.digest(HASH.XXH3_64, data, 0, length, out, 3);
      assert.equal(out.subarray(3, 11).reverse().toString('hex'), short);
    }
  });

  it('writes the same digests into the arena through HASH', () => {
    const kit = new Kit();
    const data = pseudoRandom(9000, 7);
    data.copy(kit.bytes, 4096);
    for (const kind of Object.values(HASH)) {
      const expected = Buffer.alloc(32, 0x55);
      native.digest(kind, data, 0, 9000, expected);
      kit.bytes.fill(0x55, 64, 96);
      assert.equal(kit.do(OP.HASH, { buf: 4096, len: 9000, off: 64, flags: kind }), 0);
      assert.equal(kit.bytes.subarray(64, 96).toString('hex'), expected.toString('hex'));
    }
    assert.equal(kit.do(OP.HASH, { buf: 0, len: 8, off: kit.bytes.length - 3, flags: HASH.CRC32C }), EFAULT);
    assert.equal(kit.do(OP.HASH, { buf: 0, len: 8, off: 2n ** 32n, flags: HASH.CRC32C | FLAG.QUIET }), EFAULT);
    assert.equal(kit.do(OP.HASH, { buf: 0, len: 8, off: 64, flags: 77 }), EINVAL);
    kit.close();
  });

  it('refuses ranges outside the bytes and things that are no bytes', () => {
    const b = Buffer.alloc(16);
    for (const [offset, length] of [
      [0, 17],
      [17, 0],
      [-1, 1],
      [0, -1],
      [NaN, 1],
      [2 ** 53, 2 ** 53],
      [Infinity, 0],
    ])
      assert.throws(() => native.crc32c(b, offset, length), RangeError, `${offset}, ${length}`);
    assert.throws(() => native.crc32c('text', 0, 1), TypeError);
    assert.throws(() => native.crc32c(new Float64Array(4), 0, 1), TypeError);
    assert.throws(() => native.crc32c8(b, 0, 16, Buffer.alloc(31), 0), RangeError);
    assert.throws(() => native.crc32c8(b, 0, 16, Buffer.alloc(40), 9), RangeError);
    assert.throws(() => native.digest(6, b, 0, 16, Buffer.alloc(40), 0), RangeError);
  });
});
