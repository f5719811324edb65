import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { ERROR_TABLE, ErrorCode, MarsError, formatError, isMarsError, type ErrorCodeName } from './errors.js';

const page = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8');
const codes = Object.keys(ERROR_TABLE) as ErrorCodeName[];
const sections = new Map(
  page
    .split(/^### /m)
    .slice(1)
    .map((section) => [section.slice(0, section.indexOf('\n')).trim(), section]),
);

describe('the error table', () => {
  it('gives every code a number of its own', () => {
    const numbers = codes.map((code) => ERROR_TABLE[code].number);
    assert.equal(new Set(numbers).size, codes.length);
  });

  for (const code of codes) {
    it(`explains ${code} in docs/errors.md: meaning, causes, what to do`, () => {
      const section = sections.get(code);
      assert.ok(section, `docs/errors.md has no section "### ${code}"`);
      assert.ok(section.includes(`Number ${ERROR_TABLE[code].number}:`), 'the number differs');
      for (const part of ['**What it means.**', '**Usual causes.**', '**What to do.**']) {
        assert.ok(section.includes(part), `${part} is missing`);
      }
    });
  }

  it('has a row for every section of docs/errors.md', () => {
    assert.deepEqual(
      [...sections.keys()].filter((code) => !(code in ERROR_TABLE)),
      [],
    );
  });
});

describe('formatError', () => {
  const cause = new Error('ENOENT', { cause: 'a string' });

  it('shows place, code, reasons, hint and page on one screen', () => {
    const error = new MarsError(ErrorCode.FILE_OPEN, 'cannot open /dev/x', {
      cause,
      hint: 'Plug it in.',
      place: { file: 'a.yaml', line: 3, column: 5 },
    });
    assert.equal(
      formatError(error),
      [
        'a.yaml:3:5: FILE_OPEN: cannot open /dev/x',
        '  because: ENOENT',
        '  because: a string',
        '  what to do: Plug it in.',
        '  more: docs/errors.md#file_open',
      ].join('\n'),
    );
  });

  it('leaves out what is not known', () => {
    assert.equal(formatError(new MarsError('USAGE', 'what?')), 'USAGE: what?\n  more: docs/errors.md#usage');
  });

  it('shows the stack of an error that is not ours, and the text of anything else', () => {
    assert.match(formatError(new TypeError('oops')), /unexpected error: TypeError: oops\n +at /);
    assert.equal(formatError('thrown'), 'unexpected error: thrown');
  });
});

describe('MarsError', () => {
  it('turns into plain data with everything that is known', () => {
    const error = new MarsError('SOCKET', 'no', { hint: 'h', cause: new Error('c'), details: { port: 1 } });
    assert.deepEqual(JSON.parse(JSON.stringify(error)), {
      code: 'SOCKET',
      number: 407,
      message: 'no',
      hint: 'h',
      details: { port: 1 },
      cause: 'c',
      page: 'docs/errors.md#socket',
    });
  });

  it('is recognised across two copies of the core', () => {
    const foreign = Object.assign(new Error('x'), { name: 'MarsError', code: 'USAGE', hint: undefined });
    assert.ok(isMarsError(foreign));
    assert.ok(!isMarsError(new Error('x')));
  });
});
