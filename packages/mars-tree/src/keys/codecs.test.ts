import assert from 'node:assert/strict';
import fc from 'fast-check';
import { isMarsError } from '@mars/brick-core';
import { whyNoIdentifier } from '../names.js';
import type { Codec } from './codec.js';
import { ALL_CODECS } from './codecs.js';
import { ADDRESS, HOST, HOST_LIST, HOST_OR_NONE, RES_LIST, UUID } from './hosts.js';
import { LOG, REPLAY, VERSION } from './logs.js';
import { BOOL, INT, MASK, SEQ, SINT, STAMP } from './numbers.js';
import { BUILD_TAG, FEATURES, MESSAGE, REPLAY_CODE, SKIP_CHECK, buildNumber, effectiveFeatures } from './texts.js';

/** Texts of the grammar; names that are reserved and numbers that no double can hold are outside it, and refused elsewhere. */
function textsOf(codec: Codec<unknown>): fc.Arbitrary<string> {
  const isUsual = (text: string): boolean =>
    !/\d{16}/.test(text) && text.split(/[,+ ]/).every((part) => whyNoIdentifier(part) !== 'the name is reserved');
  return fc.stringMatching(codec.pattern).filter(isUsual);
}

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(isMarsError(error), String(error));
    assert.equal(error.code, 'BAD_FACT');
    return error.message;
  }
  return assert.fail('it was accepted');
}

describe('value grammars', () => {
  for (const codec of ALL_CODECS) {
    it(`${codec.name}: what is parsed and formatted again is the same text, and reading agrees with parsing`, () => {
      fc.assert(
        fc.property(textsOf(codec), (text) => {
          const value = codec.parse(text);
          const again = codec.format(value);
          assert.equal(again, text);
          assert.match(again, codec.pattern);
          assert.deepEqual(codec.read(text), value);
        }),
        { numRuns: 150 },
      );
    });

    it(`${codec.name}: no text at all makes parse or read throw anything but BAD_FACT`, () => {
      fc.assert(
        fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string()), (text) => {
          codec.read(text);
          if (!codec.pattern.test(text)) refusal(() => codec.parse(text));
        }),
        { numRuns: 150 },
      );
    });
  }

  it('formats any stamp, number and position so that it follows the grammar', () => {
    const count = fc.nat({ max: Number.MAX_SAFE_INTEGER });
    const name = fc.stringMatching(HOST.pattern).filter((text) => whyNoIdentifier(text) === null);
    const log = fc.record({ sequence: fc.nat({ max: 2 ** 40 }), host: name }, { noNullPrototype: true });
    fc.assert(
      fc.property(log, count, count, fc.bigInt(0n, 10n ** 19n), (aLog, a, b, stampNs) => {
        const position = { log: aLog, posBytes: a, dirtyBytes: b };
        assert.deepEqual(REPLAY.parse(REPLAY.format(position)), position);
        const part = { digest: '0'.repeat(32), log: aLog, lengthBytes: a };
        const version = { ...part, predecessor: b % 2 === 0 ? null : part };
        assert.deepEqual(VERSION.parse(VERSION.format(version)), version);
        assert.equal(STAMP.parse(STAMP.format(stampNs)), stampNs);
        assert.equal(LOG.parse(LOG.format(aLog)).sequence, aLog.sequence);
        assert.equal(SINT.parse(SINT.format(-a - 1 < -Number.MAX_SAFE_INTEGER ? -a : -a - 1)) <= 0, true);
      }),
    );
  });
});

describe('reading what others wrote', () => {
  const cases: [Codec<unknown>, string, unknown][] = [
    [INT, '  42 rest', 42],
    [INT, '007', 7],
    [INT, '-1', null],
    [INT, 'x', null],
    [INT, '99999999999999999999', null],
    [SINT, '-5,more', -5],
    [BOOL, '2', true],
    [BOOL, '', null],
    [SEQ, '17', 17],
    [MASK, '0x3', 3],
    [STAMP, '1795191001', 1_795_191_001_000_000_000n],
    [STAMP, '1795191001.25', 1_795_191_001_250_000_000n],
    [HOST, 'none', null],
    [HOST_OR_NONE, '(none)', '(none)'],
    [HOST_OR_NONE, '(all)', null],
    [HOST_LIST, 'a,b c,d', ['a', 'd']],
    [RES_LIST, '(none)', []],
    [ADDRESS, '10.1.0.256', null],
    [UUID, '(any)', { kind: 'any' }],
    [UUID, 'a_b_1.000000001', { kind: 'stamped', host: 'a_b', stampNs: 1_000_000_001n }],
    [REPLAY, 'log-000000003-a,5', { log: { sequence: 3, host: 'a' }, posBytes: 5, dirtyBytes: 0 }],
    [REPLAY, 'log-3-a,5,0', null],
    [VERSION, 'garbage', null],
    [SKIP_CHECK, '7 because', { sequence: 7, note: 'because' }],
    [SKIP_CHECK, ' 7x', { sequence: 7, note: null }],
    [FEATURES, '2', { level: 2, strategy: 0, mask: 0x10000 }],
    [FEATURES, '4,5', { level: 4, strategy: 5, mask: 0x10000 }],
    [REPLAY_CODE, '-74,10101,0x41', { code: -74, detail: 10101, byte: 0x41 }],
    [REPLAY_CODE, '2', { code: 2, detail: null, byte: null }],
    [MESSAGE, 'OK', 'OK'],
    [MESSAGE, 'broken', null],
  ];
  for (const [codec, text, wanted] of cases) {
    it(`${codec.name} "${text}" reads as ${JSON.stringify(wanted, (_, v: unknown) => (typeof v === 'bigint' ? `${v}` : v))}`, () => {
      assert.deepEqual(codec.read(text), wanted);
    });
  }

  it('says what is wrong with a value that somebody wants to write', () => {
    assert.match(
      refusal(() => HOST.parse('node.example')),
      /letters, digits/,
    );
    assert.match(
      refusal(() => HOST.parse('all')),
      /reserved/,
    );
    assert.match(
      refusal(() => STAMP.parse('17.5')),
      /exactly nine digits/,
    );
    assert.match(
      refusal(() => INT.parse('9007199254740993')),
      /2\^53/,
    );
    assert.match(
      refusal(() => LOG.parse('log-3-nodea')),
      /"log-", SEQ/,
    );
    assert.match(
      refusal(() => BOOL.parse('\u001b[1m')),
      /\\u001b/,
    );
  });

  it('takes a peer of feature level 2 for strategy 0', () => {
    assert.deepEqual(effectiveFeatures(FEATURES.parse('2,5,0x07ff0000')), { level: 2, strategy: 0, mask: 0x10000 });
    assert.deepEqual(effectiveFeatures(FEATURES.parse('3,5,0x07ff0000')), { level: 3, strategy: 5, mask: 0x7ff0000 });
  });

  it('finds the number of a build tag as marsadm does', () => {
    assert.equal(buildNumber('mars0.1astable177(2025-03-20 10:00:00)'), 177);
    assert.equal(buildNumber('light0.1stable97'), 97);
    assert.equal(buildNumber('x'), null);
    assert.deepEqual(BUILD_TAG.parse('mars0.1astable177(2025-03-20 10:00:00)'), {
      tag: 'mars0.1astable177',
      date: '2025-03-20 10:00:00',
    });
  });
});
