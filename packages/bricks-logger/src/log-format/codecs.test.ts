import assert from 'node:assert/strict';
import fc from 'fast-check';
import { REFERENCE } from './codecs.test.vectors.js';
import { PayloadCompressor, PayloadExpander, preferredCompression } from './compression.js';
import type { CompressionName } from './compression.js';
import { Lz4Compressor, lz4Decompress } from './lz4.js';
import { LzoCompressor, lzoDecompress } from './lzo.js';
import { CODEC_FAILED } from './match-finder.js';
import { concat, hexOf, lcgBytes, wordText, workedPayload } from './support.test.kit.js';

type Decompress = typeof lzoDecompress;

const inputs = {
  lines: workedPayload(),
  zeros: new Uint8Array(4096),
  text: wordText(4096),
  far: concat(lcgBytes(600), new Uint8Array(20000), lcgBytes(600), new Uint8Array(11056)),
  mid: concat(lcgBytes(300, 9), new Uint8Array(3000), lcgBytes(300, 9), new Uint8Array(496)),
};

/** Expands into the middle of a guarded area and checks that the guards stay as they were. */
function expandGuarded(decompress: Decompress, stream: Uint8Array, outLen: number): { n: number; out: Uint8Array } {
  const guard = 64;
  const src = concat(new Uint8Array(guard).fill(0xee), stream, new Uint8Array(guard).fill(0xee));
  const dst = new Uint8Array(outLen + 2 * guard).fill(0xdd);
  const n = decompress(src, guard, guard + stream.length, dst, guard, guard + outLen);
  for (let i = 0; i < guard; i++) {
    assert.equal(dst[i], 0xdd, 'written in front of the target');
    assert.equal(dst[guard + outLen + i], 0xdd, 'written behind the target');
  }
  return { n, out: dst.subarray(guard, guard + outLen) };
}

/** Payloads with runs, repeats near and far, and noise. */
const payloads = fc
  .array(
    fc.oneof(
      fc.tuple(fc.nat(255), fc.integer({ min: 1, max: 900 })).map(([b, n]) => new Uint8Array(n).fill(b)),
      fc.tuple(fc.nat(4), fc.integer({ min: 1, max: 400 })).map(([s, n]) => lcgBytes(n, s)),
      fc.tuple(fc.nat(2), fc.integer({ min: 1, max: 400 })).map(([s, n]) => wordText(n, s)),
    ),
    { minLength: 1, maxLength: 60 },
  )
  .map((parts) => {
    const all = concat(...parts).subarray(0, 32256);
    return concat(all, new Uint8Array((512 - (all.length % 512)) % 512));
  });

describe('log payload codecs', () => {
  for (const [name, input] of Object.entries(inputs)) {
    const reference = REFERENCE[name as keyof typeof inputs];
    it(`expand what the reference implementations made of "${name}"`, () => {
      for (const [stream, decompress] of [
        [reference.lzo1, lzoDecompress],
        [reference.lzo9, lzoDecompress],
        [reference.lz4, lz4Decompress],
        [reference.lz4hc, lz4Decompress],
      ] as const) {
        const { n, out } = expandGuarded(decompress, Buffer.from(stream, 'hex'), input.length);
        assert.equal(n, input.length);
        assert.equal(hexOf(out), hexOf(input));
      }
    });
  }

  it('give back what they compressed', () => {
    const compressor = new PayloadCompressor();
    const expander = new PayloadExpander();
    fc.assert(
      fc.property(payloads, fc.constantFrom<CompressionName>('lzo', 'lz4', 'zlib'), (payload, name) => {
        const n = compressor.compress(name, payload, 0, payload.length);
        if (n === 0) return;
        assert.ok(((n + 7) & ~7) < payload.length, 'used although nothing is saved');
        const stream = concat(new Uint8Array(3), compressor.scratch.bytes.subarray(0, n));
        assert.ok(expander.expand(name, stream, 3, n, payload.length));
        assert.equal(hexOf(expander.scratch.bytes.subarray(0, payload.length)), hexOf(payload));
        assert.equal(expander.expand(name, stream, 3, n, payload.length - 512), false, 'shorter than promised');
        if (payload.length + 512 <= 32768)
          assert.equal(expander.expand(name, stream, 3, n, payload.length + 512), false);
      }),
      { numRuns: 300 },
    );
  });

  it('never write beyond the room they were given, and use it to the last byte', () => {
    for (const make of [() => new LzoCompressor(), () => new Lz4Compressor()]) {
      const input = wordText(2048);
      const big = new Uint8Array(4096);
      const full = make().compress(input, 0, 2048, big, 0, 4096);
      for (let room = 0; room < full + 8; room++) {
        const out = new Uint8Array(4096).fill(0xdd);
        const n = make().compress(input, 0, 2048, out, 0, room);
        assert.ok(n === CODEC_FAILED || n === full);
        if (room >= full + 6) assert.equal(n, full, 'room was enough');
        for (let i = room; i < 4096; i++) assert.equal(out[i], 0xdd, `byte ${i} with room ${room}`);
      }
    }
  });

  it('say 0 for payloads that do not shrink or that readers would refuse to expand', () => {
    const compressor = new PayloadCompressor();
    for (const name of ['lzo', 'lz4', 'zlib'] as const) {
      assert.equal(compressor.compress(name, lcgBytes(4096), 0, 4096), 0);
      assert.equal(compressor.compress(name, new Uint8Array(1000), 0, 1000), 0);
      assert.ok(compressor.compress(name, new Uint8Array(4096), 0, 4096) > 0);
    }
  });

  it('survive damaged streams: no exception, no byte outside, never more than asked for', () => {
    const streams = Object.values(REFERENCE).flatMap((r) => [
      { decompress: lzoDecompress, stream: Buffer.from(r.lzo1, 'hex') },
      { decompress: lzoDecompress, stream: Buffer.from(r.lzo9, 'hex') },
      { decompress: lz4Decompress, stream: Buffer.from(r.lz4, 'hex') },
    ]);
    const flips = fc.array(fc.tuple(fc.nat(5000), fc.nat(255)), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(fc.constantFrom(...streams), flips, fc.nat(5000), fc.nat(8192), (s, changes, cut, outLen) => {
        const damaged = Uint8Array.from(s.stream);
        for (const [at, value] of changes) damaged[at % damaged.length] = value;
        const { n } = expandGuarded(s.decompress, damaged.subarray(0, 1 + (cut % damaged.length)), outLen);
        assert.ok(n === CODEC_FAILED || (n >= 0 && n <= outLen));
      }),
      { numRuns: 3000 },
    );
  });

  it('survive noise', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.constantFrom(lzoDecompress, lz4Decompress),
        (noise, decompress) => {
          const { n } = expandGuarded(decompress, noise, 4096);
          assert.ok(n === CODEC_FAILED || (n >= 0 && n <= 4096));
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('refuse every truncation of a stream', () => {
    for (const r of Object.values(REFERENCE)) {
      const lzo = Buffer.from(r.lzo1, 'hex');
      for (let cut = 0; cut < lzo.length; cut++) {
        assert.equal(lzoDecompress(lzo, 0, cut, new Uint8Array(32768), 0, 32768), CODEC_FAILED);
      }
    }
  });

  it('use a stream only if its padded length saves something', () => {
    const compressor = new PayloadCompressor();
    for (const name of ['lzo', 'lz4', 'zlib'] as const) {
      const used = new Set<number>();
      for (let noise = 400; noise <= 512; noise++) {
        const payload = concat(lcgBytes(noise), new Uint8Array(512 - noise));
        const n = compressor.compress(name, payload, 0, 512);
        assert.ok(n <= 504, `${name}: ${n} of 512 bytes`);
        used.add(n);
      }
      assert.ok(used.has(0) && Math.max(...used) > 496, `${name} comes near the border`);
    }
  });

  describe('LZO1X instructions', () => {
    const END = [0x11, 0, 0];
    const letters = Array.from(Buffer.from('abcdefgh', 'latin1'));
    const expand = (stream: number[], room = 64): string | null => {
      const { n, out } = expandGuarded(lzoDecompress, Uint8Array.from(stream), room);
      return n === CODEC_FAILED ? null : Buffer.from(out.subarray(0, n)).toString('latin1');
    };

    it('a match may not reach in front of the output', () => {
      const match = (distance: number): number[] => [0x40 | ((distance - 1) << 2), 0];
      assert.equal(expand([17 + 8, ...letters, ...match(8), ...END]), 'abcdefghabc');
      assert.equal(expand([17 + 8, ...letters, 0x40, 1, ...END]), null, 'distance 9');
    });

    it('the end marker is exactly one, and exactly at the end', () => {
      assert.equal(expand(END), '');
      assert.equal(expand([17 + 8, ...letters, ...END]), 'abcdefgh');
      assert.equal(expand([17 + 8, ...letters, ...END, 0]), null);
      assert.equal(expand([17 + 8, ...letters, 0x12, 0, 0]), null, 'another length');
      assert.equal(expand([17 + 8, ...letters]), null);
    });

    it('a short match behind a run of literals reaches 2049 bytes and more', () => {
      const run = lcgBytes(2060);
      const long = [0, ...new Array<number>(8).fill(0), 2060 - 18 - 8 * 255, ...run];
      const { n, out } = expandGuarded(lzoDecompress, Uint8Array.from([...long, 0x04, 0, ...END]), 4096);
      assert.equal(n, 2063);
      assert.equal(hexOf(out.subarray(2060, 2063)), hexOf(run.subarray(10, 13)), 'distance 2050');
    });

    it('a short match behind one literal has two bytes', () => {
      // A match with one literal behind it leaves state 1; there, 0000 DDSS is a match of two.
      assert.equal(expand([17 + 8, ...letters, 0x40 | (7 << 2) | 1, 0, 0x5a, 0x00, 0, ...END]), 'abcdefghabcZZZ');
    });

    it('the farthest instruction reaches 32768 bytes and more', () => {
      const start = lcgBytes(100);
      const zeros = 33000;
      // 100 literals, one literal 0, a match of it for 32999 bytes, then 3 bytes from the start of everything.
      const long = (value: number): number[] => [
        ...new Array<number>(Math.floor((value - 1) / 255)).fill(0),
        ((value - 1) % 255) + 1,
      ];
      const distance = 100 + zeros - 5;
      const d = distance - 32768;
      const stream = [
        17 + 101,
        ...start,
        0,
        0x20,
        ...long(zeros - 1 - 33),
        0,
        0,
        0x19,
        (d << 2) & 255,
        d >>> 6,
        ...END,
      ];
      const { n, out } = expandGuarded(lzoDecompress, Uint8Array.from(stream), 40000);
      assert.equal(n, 100 + zeros + 3);
      assert.equal(hexOf(out.subarray(100 + zeros, n)), hexOf(start.subarray(5, 8)));
    });
  });

  it('LZ4: a match may not have offset 0 nor reach in front of the output, and a block may not end with one', () => {
    const block = (offset: number, ...rest: number[]): number => {
      const stream = [0x40, 1, 2, 3, 4, offset, 0, ...rest];
      return expandGuarded(lz4Decompress, Uint8Array.from(stream), 64).n;
    };
    assert.equal(block(4, 0), 8);
    assert.equal(block(5, 0), CODEC_FAILED);
    assert.equal(block(0, 0), CODEC_FAILED);
    assert.equal(block(4), CODEC_FAILED);
  });

  it('are preferred in the order lzo, lz4, zlib', () => {
    assert.equal(preferredCompression(0x0700), 'lzo');
    assert.equal(preferredCompression(0x0600), 'lz4');
    assert.equal(preferredCompression(0x0400), 'zlib');
    assert.equal(preferredCompression(0x001f), null);
  });
});
