import { readFileSync, writeFileSync } from 'node:fs';
import { BrickRegistry } from '@mars/brick-core';
import { testBricks } from './testing/bricks.js';

export function testRegistry(): BrickRegistry {
  return new BrickRegistry().register(testBricks, 'test');
}

/** One case of a transcript: what goes in above `----`, what comes out below. */
export interface TranscriptCase {
  title: string;
  input: string;
  expected: string;
}

/**
 * A transcript file: `# title`, input, `----`, output; cases are separated by `====`. Run the tests with
 * `MARS_REWRITE=1` to rewrite the outputs, and commit only what you can explain.
 */
export function transcript(name: string): {
  cases: TranscriptCase[];
  check: (c: TranscriptCase, actual: string) => void;
} {
  const path = new URL(`../testdata/${name}`, import.meta.url);
  const cases = readFileSync(path, 'utf8')
    .split(/^====\n/m)
    .map((text): TranscriptCase => {
      const [head = '', expected = ''] = text.split(/^----\n/m);
      const [title = '', ...input] = head.split('\n');
      return { title: title.replace(/^# /, ''), input: input.join('\n'), expected: expected.trimEnd() };
    });
  const write = (): void =>
    writeFileSync(path, cases.map((c) => `# ${c.title}\n${c.input}----\n${c.expected}\n`).join('====\n'));
  const check = (c: TranscriptCase, actual: string): void => {
    if (process.env.MARS_REWRITE === '1') {
      c.expected = actual;
      write();
    } else if (actual !== c.expected) throw new Error(`expected:\n${c.expected}\n\nbut got:\n${actual}\n`);
  };
  return { cases, check };
}
