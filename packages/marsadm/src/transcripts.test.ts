import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describeTranscripts } from './testing/transcript.test.kit.js';

const TESTDATA = fileURLToPath(new URL('../testdata/', import.meta.url));

describe('marsadm, as a person sees it', () => {
  for (const name of readdirSync(TESTDATA).sort()) {
    if (name.endsWith('.txt')) describeTranscripts(`${TESTDATA}${name}`);
  }
});
