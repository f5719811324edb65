import { formatStackError } from '../problems.js';
import { testRegistry, transcript } from '../kit.test.js';
import { loadStack } from './load.js';

describe('Errors of stack files', () => {
  const registry = testRegistry();
  const { cases, check } = transcript('errors.txt');

  for (const one of cases) {
    it(`shows place and remedy: ${one.title}`, () => {
      check(one, screenOf(one.input));
    });
  }

  /** Lines `> set NAME=VALUE` above the stack are variables of the caller. */
  function screenOf(input: string): string {
    const lines = input.split('\n');
    const given = lines
      .filter((line) => line.startsWith('> set '))
      .map((line) => line.slice(6).split('=') as [string, string]);
    const text = lines.filter((line) => !line.startsWith('> ')).join('\n');
    try {
      loadStack({ file: 'x.yaml', text }, { registry, vars: Object.fromEntries(given) });
      return 'no error';
    } catch (error) {
      return formatStackError(error);
    }
  }
});
