/**
 * Transcripts: stories that an operator can read. A file holds scenes; what stands above `----` is given, what stands below was
 * answered. With `MARS_TRANSCRIPTS=rewrite` the answers are written anew; commit only differences that you can explain.
 */

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

interface Scene {
  title: string;
  given: string[];
  answer: string;
}

/** One test per scene. @param play gives the answer to the given lines */
export function describeTranscript(name: string, play: (given: readonly string[]) => string[]): void {
  const path = fileURLToPath(new URL(`../testdata/${name}.txt`, import.meta.url));
  const [intro, ...scenes] = readFileSync(path, 'utf8').split(/^# /m);
  const parsed = scenes.map(parse);
  if (process.env.MARS_TRANSCRIPTS === 'rewrite') rewrite(path, intro!, parsed, play);
  for (const scene of parsed) {
    it(scene.title, () => assert.equal(play(scene.given).join('\n'), scene.answer));
  }
}

function parse(text: string): Scene {
  const [title, ...lines] = text.trimEnd().split('\n');
  const at = lines.indexOf('----');
  const given = (at < 0 ? lines : lines.slice(0, at)).filter((line) => line.trim() !== '');
  return { title: title!, given, answer: at < 0 ? '' : lines.slice(at + 1).join('\n') };
}

function rewrite(path: string, intro: string, scenes: Scene[], play: (given: readonly string[]) => string[]): void {
  for (const scene of scenes) scene.answer = play(scene.given).join('\n');
  const texts = scenes.map(({ title, given, answer }) => `# ${title}\n${given.join('\n')}\n----\n${answer}\n`);
  writeFileSync(path, intro + texts.join('\n'));
}
