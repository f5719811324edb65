import assert from 'node:assert/strict';
import fc from 'fast-check';
import { checkParams, didYouMean, formatDefault, type ParamsSchema } from './schema.js';
import { formatUnit, parseUnit, type Unit } from './units.js';

const schema: ParamsSchema = {
  required: ['path'],
  properties: {
    path: { type: 'string', about: 'where the data is' },
    size: { unit: 'bytes', default: '64M' },
    wait: { unit: 'ms', default: '20ms', minimum: 0, maximum: 1000 },
    mode: { type: 'string', enum: ['fast', 'safe'], default: 'safe' },
    errno: { type: 'string', format: 'errno' },
    write: {
      type: 'object',
      properties: { rate: { unit: 'percent', default: '10%' }, after: { type: 'integer', minimum: 1 } },
    },
    steps: {
      type: 'array',
      maxItems: 3,
      items: { type: 'object', required: ['at'], properties: { at: { unit: 'ms' } } },
    },
  },
};
const problemsOf = (
  raw: Record<string, unknown>,
): { path: readonly (string | number)[]; message: string; hint?: string }[] => {
  const result = checkParams(schema, raw);
  return result.ok ? [] : result.problems;
};
const only = (raw: Record<string, unknown>): { path: readonly (string | number)[]; message: string; hint?: string } => {
  const problems = problemsOf({ path: 'x', ...raw });
  assert.equal(problems.length, 1, JSON.stringify(problems));
  return problems[0]!;
};

describe('checkParams', () => {
  it('fills in defaults and turns units into plain numbers', () => {
    const result = checkParams(schema, { path: '/x', wait: '1s', write: {}, steps: [{ at: '250us' }] });
    assert.ok(result.ok);
    assert.deepEqual(result.values, {
      path: '/x',
      size: 64 * 2 ** 20,
      wait: 1000,
      mode: 'safe',
      write: { rate: 10 },
      steps: [{ at: 0.25 }],
    });
  });

  it('does not touch its input', () => {
    const raw = Object.freeze({ path: '/x', write: Object.freeze({}) });
    assert.ok(checkParams(schema, raw).ok);
    assert.deepEqual(raw, { path: '/x', write: {} });
  });

  it('names a missing parameter, says what it is for, and leads to the place where it is missing', () => {
    const [problem] = problemsOf({});
    assert.deepEqual(problem, {
      path: [],
      message: 'parameter "path" is missing',
      hint: '"path": where the data is',
    });
  });

  it('names an unknown parameter and the nearest known one, also inside', () => {
    assert.match(only({ sise: '1M' }).hint!, /Did you mean "size"\?/);
    const inner = only({ write: { aftr: 2 } });
    assert.deepEqual([inner.path, inner.message], [['write', 'aftr'], 'there is no parameter "write.aftr"']);
    assert.match(inner.hint!, /Did you mean "after"\? Known: rate, after\./);
  });

  it('leads to the place inside lists', () => {
    assert.deepEqual(only({ steps: [{ at: '1ms' }, { at: 'soon' }] }).path, ['steps', 1, 'at']);
    assert.deepEqual(only({ steps: [{}] }).path, ['steps', 0]);
    assert.deepEqual(only({ steps: [1, 2, 3, 4].map(() => ({ at: '1ms' })) }).path, ['steps']);
  });

  it('says how a value with a unit is written', () => {
    assert.match(only({ wait: 20 }).hint!, /20ms/);
    assert.match(only({ size: '5ms' }).hint!, /64K/);
  });

  it('keeps to ranges, lists and names of errors', () => {
    assert.deepEqual(only({ wait: '2s' }).path, ['wait']);
    assert.match(only({ mode: 'quick' }).hint!, /fast, safe/);
    assert.match(only({ errno: 'EWHAT' }).hint!, /EIO/);
    assert.deepEqual(problemsOf({ path: 'x', errno: 'ENOSPC' }), []);
    assert.deepEqual(only({ write: { after: 0 } }).path, ['write', 'after']);
  });

  it('reports everything that is wrong, not only the first', () => {
    assert.equal(problemsOf({ path: 'x', mode: 'quick', errno: 'EWHAT', sise: 1 }).length, 3);
  });

  it('names an unknown parameter also when another one is not of its unit, and each of them once', () => {
    const result = checkParams({ properties: { wait: { unit: 'ms' } } }, { wait: 'fast', wiat: 1 });
    assert.deepEqual(result.ok ? [] : result.problems.map((problem) => problem.path), [['wait'], ['wiat']]);
  });

  it('shows defaults as people write them', () => {
    const { size, wait, mode } = schema.properties!;
    assert.deepEqual(
      [formatDefault(size!), formatDefault(wait!), formatDefault(mode!), formatDefault({})],
      ['64M', '20ms', 'safe', undefined],
    );
    assert.equal(formatDefault({ unit: 'bytes', default: 4096 }), '4K');
  });

  it('lists what is known only while that is short', () => {
    assert.equal(didYouMean('x', []), 'Nothing can be set here.');
    const many = Array.from({ length: 20 }, (_, i) => `name${i}`);
    assert.equal(didYouMean('nam7', many), 'Did you mean "name7"?');
  });
});

describe('units', () => {
  it('reads sizes, rates, durations and shares', () => {
    const cases: [string | number, Unit, number | undefined][] = [
      ['64K', 'bytes', 65_536],
      ['1.5M', 'bytes', 1_572_864],
      ['2GiB', 'bytes', 2 ** 31],
      [4096, 'bytes', 4096],
      ['4096', 'bytes', 4096],
      ['20ms', 'ms', 20],
      ['250us', 'ms', 0.25],
      ['2m', 'ms', 120_000],
      ['1h', 'ms', 3_600_000],
      [0, 'ms', 0],
      [20, 'ms', undefined],
      ['20', 'ms', undefined],
      ['20%', 'percent', 20],
      ['20M', 'ms', undefined],
      ['5s', 'bytes', undefined],
      ['-1', 'bytes', undefined],
      ['', 'bytes', undefined],
      [NaN, 'bytes', undefined],
      [Infinity, 'bytes', undefined],
    ];
    for (const [text, unit, expected] of cases) assert.equal(parseUnit(text, unit), expected, `${text} as ${unit}`);
    for (const wrong of [null, undefined, {}, [], true]) assert.equal(parseUnit(wrong, 'bytes'), undefined);
  });

  it('writes numbers so that reading them back gives the same', () => {
    const units = fc.constantFrom<Unit>('bytes', 'ms', 'percent', 'bytes/s');
    fc.assert(
      fc.property(fc.nat(2 ** 40), units, (value, unit) => {
        assert.equal(parseUnit(formatUnit(value, unit), unit), value);
      }),
      { numRuns: 2000, seed: 1 },
    );
    assert.equal(formatUnit(67_108_864, 'bytes'), '64M');
    assert.equal(formatUnit(1500, 'ms'), '1.5s');
  });
});
