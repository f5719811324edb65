import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A directory for one suite. */
export interface Sandbox {
  readonly path: string;
  /** A name in it that was not used yet. */
  file(name?: string): string;
}

/** Makes the directory before the suite's first test and removes it after its last; call inside `describe`. */
export function sandbox(): Sandbox {
  let path = '';
  let count = 0;
  before(() => (path = mkdtempSync(join(process.env['MARS_TEST_TMP'] ?? tmpdir(), 'mars-platform-'))));
  after(() => rmSync(path, { recursive: true, force: true }));
  return {
    get path() {
      return path;
    },
    file: (name = 'f') => join(path, `${name}${count++}`),
  };
}
