import assert from 'node:assert/strict';
import fc from 'fast-check';
import { MarsError } from '@mars/brick-core';
import { MAX_STRUCTS } from '../limits.js';
import { ByteReader, ByteWriter } from './bytes.js';
import { RemoteStructs, decoderFor } from './decode.js';
import { Definitions, encodeFields } from './encode.js';
import { defaultsOf, defineStruct, t, type FieldType, type Fields, type Struct } from './struct.js';

/** One side tells the other: what arrives there, read as `mine`. */
function carry(theirs: Struct, value: object, mine: Struct = theirs): unknown {
  const remote = new RemoteStructs();
  const number = new Definitions().numberOf(theirs, new ByteWriter(), (body) => remote.define(new ByteReader(body)));
  const out = new ByteWriter();
  encodeFields(out, theirs, value);
  const from = new ByteReader(out.view());
  const got = decoderFor(remote.get(number), mine)(from);
  assert.equal(from.left, 0, 'bytes are left over');
  return got;
}

const isProtocolError = (error: unknown): boolean => error instanceof MarsError && error.code === 'WIRE_PROTOCOL';

/** A type together with values of it. */
interface Sample {
  type: FieldType;
  value: fc.Arbitrary<unknown>;
}

const plain: fc.Arbitrary<Sample> = fc.constantFrom<Sample>(
  { type: t.int, value: fc.maxSafeInteger() },
  { type: t.bigint, value: fc.bigInt({ min: -(2n ** 63n) + 1n, max: 2n ** 63n - 1n }) },
  { type: t.float, value: fc.double() },
  { type: t.bool, value: fc.boolean() },
  { type: t.str, value: fc.string({ unit: 'grapheme' }) },
  { type: t.bytes, value: fc.uint8Array({ maxLength: 20 }) },
);

const { sample } = fc.letrec<{ sample: Sample }>((tie) => ({
  sample: fc.oneof(
    { maxDepth: 2 },
    plain,
    tie('sample').map(({ type, value }) => ({ type: t.list(type), value: fc.array(value, { maxLength: 4 }) })),
    tie('sample').map(({ type, value }) => ({ type: t.optional(type), value: fc.option(value) })),
    fc.array(tie('sample'), { minLength: 1, maxLength: 3 }).map((fields) => inner(fields)),
  ),
}));

let names = 0;

function inner(samples: readonly Sample[]): Sample {
  const { struct, value } = structOf(samples);
  return { type: t.struct(struct), value };
}

function structOf(samples: readonly Sample[]): { struct: Struct; value: fc.Arbitrary<object> } {
  const fields: Fields = Object.fromEntries(samples.map(({ type }, i) => [`f${i}`, type]));
  const values = Object.fromEntries(samples.map((each, i) => [`f${i}`, each.value]));
  const value = fc.record(values, { noNullPrototype: true });
  return { struct: defineStruct(`s${names++}`, fields), value };
}

const messages = fc
  .array(sample, { maxLength: 6 })
  .map(structOf)
  .chain(({ struct, value }) => value.map((message) => ({ struct, message })));

describe('structs', () => {
  it('arrive as they were sent, whatever their fields are', () => {
    fc.assert(
      fc.property(messages, ({ struct, message }) => {
        assert.deepEqual(carry(struct, message), message);
      }),
      { numRuns: 500 },
    );
  });

  it('are read by a peer that knows only some of the fields, and some others', () => {
    fc.assert(
      fc.property(messages, fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }), ({ struct, message }, keep) => {
        const kept = Object.entries(struct.fields).filter((_, i) => keep[i]);
        const mine = defineStruct(struct.name, { ...Object.fromEntries(kept), extra: t.list(t.str), more: t.int });
        const got = carry(struct, message, mine) as Record<string, unknown>;
        for (const [name] of kept) assert.deepEqual(got[name], (message as Record<string, unknown>)[name]);
        assert.deepEqual([got['extra'], got['more']], [[], 0]);
        assert.equal(Object.keys(got).length, kept.length + 2);
      }),
      { numRuns: 300 },
    );
  });

  it('count a field of another type as missing', () => {
    const theirs = defineStruct('x', { a: t.str, b: t.list(t.int), c: t.int });
    const mine = defineStruct('x', { a: t.int, b: t.list(t.str), c: t.int });
    assert.deepEqual(carry(theirs, { a: 'text', b: [1, 2], c: 3 }, mine), { a: 0, b: [], c: 3 });
  });

  it('let a field become optional, and back, and grow to 64 bits', () => {
    const old = defineStruct('x', { a: t.str, b: t.int });
    const young = defineStruct('x', { a: t.optional(t.str), b: t.bigint });
    assert.deepEqual(carry(old, { a: 'there', b: 5 }, young), { a: 'there', b: 5n });
    assert.deepEqual(carry(young, { a: 'there', b: 5n }, old), { a: 'there', b: 5 });
    assert.deepEqual(carry(young, { a: null, b: 5n }, old), { a: '', b: 5 });
    assert.throws(() => carry(young, { a: null, b: 2n ** 60n }, old), isProtocolError);
  });

  it('have fresh or frozen defaults, so that no message changes another', () => {
    const point = defineStruct('point', { x: t.int });
    const struct = defineStruct('x', { list: t.list(t.int), at: t.struct(point) });
    assert.notEqual(defaultsOf(struct), defaultsOf(struct));
    const { list, at } = defaultsOf(struct) as { list: number[]; at: { x: number } };
    assert.throws(() => list.push(1), TypeError);
    assert.throws(() => (at.x = 1), TypeError);
  });

  it('cannot be nested too deeply, or be empty inside another', () => {
    let struct: Struct = defineStruct('s0', { n: t.int });
    const deeper = (): void => void (struct = defineStruct(`${struct.name}+`, { inner: t.struct(struct) }));
    assert.throws(() => Array.from({ length: 20 }, deeper), /nested too deeply/);
    assert.throws(() => defineStruct('x', { inner: t.struct(defineStruct('empty', {})) }), /empty struct/);
  });
});

describe('descriptions of a peer', () => {
  const define = (write: (out: ByteWriter) => void, remote = new RemoteStructs()): RemoteStructs => {
    const out = new ByteWriter();
    write(out);
    remote.define(new ByteReader(out.view()));
    return remote;
  };
  const described = (number: number, name: string, types: readonly (readonly [string, ...number[]])[]) => {
    return (out: ByteWriter): void => {
      out.varint(number);
      out.str(name);
      out.varint(types.length);
      for (const [field, ...tags] of types) {
        out.str(field);
        tags.forEach((tag) => out.u8(tag));
      }
    };
  };

  for (const [what, write] of [
    ['a wrong number', described(1, 'x', [])],
    ['no name', described(0, '', [])],
    ['a long name', described(0, 'x'.repeat(65), [])],
    ['a type that does not exist', described(0, 'x', [['a', 9]])],
    ['a list that never ends', described(0, 'x', [['a', ...Array<number>(50).fill(6)]])],
    ['itself inside', described(0, 'x', [['a', 8, 0]])],
    [
      'a field twice',
      described(0, 'x', [
        ['a', 1],
        ['a', 1],
      ]),
    ],
    [
      'too many fields',
      described(
        0,
        'x',
        Array.from({ length: 65 }, (_, i) => [`f${i}`, 1] as const),
      ),
    ],
  ] as const) {
    it(`are refused when a struct has ${what}`, () => assert.throws(() => define(write), isProtocolError));
  }

  it('are refused when there are too many of them, or one comes twice', () => {
    const remote = new RemoteStructs();
    for (let i = 0; i < MAX_STRUCTS; i++) define(described(i, `s${i}`, []), remote);
    assert.throws(() => define(described(MAX_STRUCTS, 'one more', []), remote), isProtocolError);
    assert.throws(() => define(described(1, 'x', []), define(described(0, 'x', []))), isProtocolError);
  });

  it('are refused when a struct has an empty one inside', () => {
    const remote = define(described(0, 'empty', []));
    assert.throws(() => define(described(1, 'x', [['a', 6, 8, 0]]), remote), isProtocolError);
  });

  it('may hold types of the future, whose values are skipped', () => {
    const remote = define(described(0, 'x', [['new', 200], ['old', 1]])); // prettier-ignore
    const out = new ByteWriter();
    out.raw(Buffer.from('whatever'));
    out.int(7);
    const mine = defineStruct('x', { new: t.str, old: t.int });
    assert.deepEqual(decoderFor(remote.get(0), mine)(new ByteReader(out.view())), { new: '', old: 7 });
  });

  it('cannot make the reader do much work for a few bytes', () => {
    // Eight levels of 64 fields each: 64^7 inner fields, if anybody ever looked at all of them.
    const remote = define(described(0, 's0', [['n', 3]]));
    for (let level = 1; level < 7; level++)
      define(described(level, `s${level}`, Array.from({ length: 64 }, (_, i) => [`f${i}`, 8, level - 1] as const)), remote); // prettier-ignore
    const read = decoderFor(remote.get(6), defineStruct('s6', { other: t.int }));
    assert.throws(() => read(new ByteReader(new Uint8Array(1000))), isProtocolError);
    assert.throws(() => define(described(7, 's7', [['a', 8, 6], ['b', 8, 6]]), remote) && define(described(8, 's8', [['a', 8, 7]]), remote), isProtocolError); // prettier-ignore
  });
});

describe('ByteReader', () => {
  it('never reads beyond the end, and never believes a length', () => {
    const struct = defineStruct('x', { a: t.list(t.str), b: t.bytes, c: t.bigint, d: t.optional(t.float), e: t.bool });
    const remote = new RemoteStructs();
    new Definitions().numberOf(struct, new ByteWriter(), (body) => remote.define(new ByteReader(body)));
    const read = decoderFor(remote.get(0), struct);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          read(new ByteReader(bytes));
        } catch (error) {
          assert.ok(isProtocolError(error), String(error));
        }
      }),
      { numRuns: 5_000 },
    );
  });

  it('refuses texts that are not UTF-8, but takes the replacement character itself', () => {
    const text = (bytes: readonly number[]): string => new ByteReader(Uint8Array.of(bytes.length, ...bytes)).str();
    assert.throws(() => text([0xff]), isProtocolError);
    assert.throws(() => text([0xc0, 0x80]), isProtocolError);
    assert.equal(text([0xef, 0xbf, 0xbd]), '\ufffd');
  });

  it('gives small numbers one byte and stamps nine', () => {
    const size = (write: (out: ByteWriter) => void): number => {
      const out = new ByteWriter();
      write(out);
      return out.length;
    };
    assert.equal(
      size((out) => out.int(-63)),
      1,
    );
    assert.equal(
      size((out) => out.bigint(1_795_191_001_250_000_000n)),
      9,
    );
    assert.ok(Object.is(new ByteReader(Uint8Array.of(1)).int(), 0), 'no negative zero');
  });
});
