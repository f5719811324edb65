import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Files } from '@mars/brick-core';

const README = `# Brick plugins of this host

Install packages here with npm (\`npm install @acme/mars-brick-latency\`), then name them in allow.yaml.
@mars/brick-core is a link to the copy that MARS itself uses; do not replace it.
`;

const ALLOW = `# Packages whose bricks may be loaded. Bricks run with all rights of the daemon: add only what you trust.
mars: 1
allow: []
`;

/**
 * Makes a plugin directory: a package of its own, in which `@mars/brick-core` is a link to the copy that runs here, so that
 * plugins share it. Existing files stay as they are.
 * @returns the files that were made
 */
export function initPluginDirectory(files: Files, directory: string): string[] {
  const core = path.dirname(fileURLToPath(import.meta.resolve('@mars/brick-core/package.json')));
  const manifest = {
    name: 'mars-plugins',
    private: true,
    description: 'Brick plugins of this host',
    dependencies: { '@mars/brick-core': `file:${core}` },
  };
  files.makeDir(directory, { recursive: true, mode: 0o755 });
  const wanted: [string, string][] = [
    ['package.json', `${JSON.stringify(manifest, null, 2)}\n`],
    ['allow.yaml', ALLOW],
    ['README.md', README],
  ];
  const made = wanted.filter(([name]) => files.stat(path.join(directory, name)) === null);
  for (const [name, content] of made) files.writeFile(path.join(directory, name), content, { mode: 0o644 });
  return made.map(([name]) => path.join(directory, name));
}
