import assert from 'node:assert/strict';
import fc from 'fast-check';
import { isMet, lookupIn, whyNot } from './evaluate.js';
import { parseExpression } from './parse.js';
import { factsOf, type Expression, type Facts } from './types.js';

const FACTS: Facts = { yes: true, no: false, zero: 0, two: 2, ten: 10, mode: 'log', empty: '', 'a.on': true };

describe('Conditions', () => {
  const met: [string, boolean][] = [
    ['yes', true],
    ['no', false],
    ['!no', true],
    ['!!yes', true],
    ['yes && no', false],
    ['yes || no', true],
    ['yes || no && no', true],
    ['(yes || no) && no', false],
    ['!no && yes', true],
    ['!(no || yes)', false],
    ["mode == 'log'", true],
    ["mode != 'log'", false],
    ["'log' == mode", true],
    ['two < ten', true],
    ['ten <= 10', true],
    ['ten > 10', false],
    ['10 >= two', true],
    ['two == 2.0', true],
    ['two < ten == yes', true],
    ['a.on', true],
    ['zero', false],
    ['empty', false],
    ['two', true],
    ['true', true],
    ['false || true', true],
    ['  yes&&yes  ', true],
    ["'10' < '9'", false],
    ["two == '2'", false],
  ];
  for (const [text, expected] of met) {
    it(`${text} is ${expected}`, () => assert.equal(isMet(parsed(text), lookupIn(FACTS)), expected));
  }

  for (const text of ['nothing', 'nothing == 1', 'nothing != 1', 'nothing < 1', 'nothing && yes']) {
    it(`${text} is false, because nobody knows that fact`, () =>
      assert.equal(isMet(parsed(text), lookupIn(FACTS)), false));
  }

  it('a fact called like a method of every object is not known', () => {
    assert.equal(isMet(parsed('constructor || toString'), lookupIn({})), false);
  });

  const wrong: [string, number, RegExp][] = [
    ['', 0, /ends where a fact/],
    ['yes &&', 6, /ends where a fact/],
    ['yes no', 4, /"no" is not expected/],
    ['(yes', 4, /"\)" is missing/],
    ['yes)', 3, /"\)" is not expected/],
    ['yes & no', 4, /"&" alone/],
    ['a = 1', 2, /"=" alone/],
    ["mode == 'log", 8, /no end/],
    ['mode == "log"', 8, /single quotes/],
    ['${yes}', 0, /directly/],
    ['yes && #', 7, /"#" is not known/],
    [`${'('.repeat(70)}yes${')'.repeat(70)}`, 64, /64 levels/],
    ['x'.repeat(401), 0, /longer than 400/],
  ];
  for (const [text, at, message] of wrong) {
    it(`says where ${JSON.stringify(text.slice(0, 20))} goes wrong`, () => {
      const result = parseExpression(text);
      assert.ok(!result.ok);
      assert.equal(result.problem.at, at);
      assert.match(result.problem.message, message);
    });
  }

  it('names the facts that keep a condition from being met, and no others', () => {
    assert.equal(
      whyNot(parsed("yes && (no || nothing) && mode == 'replay'"), lookupIn(FACTS)),
      "no is false, nothing is not known, mode is 'log'",
    );
    assert.equal(whyNot(parsed('!yes'), lookupIn(FACTS)), 'yes is true');
    assert.equal(whyNot(parsed('false'), lookupIn(FACTS)), 'it is never true');
  });

  it('finds every fact with its place', () => {
    assert.deepEqual(
      [...factsOf(parsed('a.on && (b || !a.on)'))],
      [
        ['a.on', 0],
        ['b', 9],
      ],
    );
  });

  it('reads back whatever is written, with the same meaning', () => {
    fc.assert(
      fc.property(expressions(), (expression) => {
        const again = parsed(write(expression));
        assert.equal(isMet(again, lookupIn(FACTS)), isMet(expression, lookupIn(FACTS)));
      }),
    );
  });

  it('never throws, whatever people write', () => {
    const pieces = fc.array(
      fc.constantFrom('a', 'b.on', '(', ')', '!', '&&', '||', '==', '<', '1', "'x'", '&', "'", ' '),
      { maxLength: 30 },
    );
    fc.assert(fc.property(pieces, (words) => void parseExpression(words.join(''))));
    fc.assert(fc.property(fc.string(), (text) => void parseExpression(text)));
  });

  function parsed(text: string): Expression {
    const result = parseExpression(text);
    assert.ok(result.ok, text);
    return result.expression;
  }

  function expressions(): fc.Arbitrary<Expression> {
    const at = 0;
    return fc
      .letrec<{ any: Expression }>((tie) => ({
        any: fc.oneof(
          { maxDepth: 4 },
          fc.constantFrom(...Object.keys(FACTS)).map((name): Expression => ({ kind: 'fact', name, at })),
          fc
            .oneof(fc.nat(20), fc.constantFrom('log', 'x y'), fc.boolean())
            .map((value): Expression => ({ kind: 'value', value, at })),
          tie('any').map((of): Expression => ({ kind: 'not', of, at })),
          fc.record({
            kind: fc.constantFrom('and' as const, 'or' as const),
            left: tie('any'),
            right: tie('any'),
            at: fc.constant(at),
          }),
          fc.record({
            kind: fc.constant('compare' as const),
            op: fc.constantFrom('==' as const, '!=' as const, '<' as const, '>=' as const),
            left: tie('any'),
            right: tie('any'),
            at: fc.constant(at),
          }),
        ),
      }))
      .any.filter((e) => write(e).length <= 400);
  }

  function write(e: Expression): string {
    switch (e.kind) {
      case 'value':
        return typeof e.value === 'string' ? `'${e.value}'` : String(e.value);
      case 'fact':
        return e.name;
      case 'not':
        return `!${write(e.of)}`;
      case 'compare':
        return `(${write(e.left)} ${e.op} ${write(e.right)})`;
      default:
        return `(${write(e.left)} ${e.kind === 'and' ? '&&' : '||'} ${write(e.right)})`;
    }
  }
});
