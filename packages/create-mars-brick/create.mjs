#!/usr/bin/env node
// Makes a new brick package from the template. No dependencies: it runs before anything is installed.
import { cpSync, existsSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const USAGE = `Usage: npm create mars-brick -- PACKAGE [DIRECTORY]

Makes the skeleton of a brick package: one filter, its tests, and the conformance suite.
  PACKAGE    npm name, "mars-brick-NAME" or "@scope/mars-brick-NAME"
  DIRECTORY  where to put it (default: mars-brick-NAME)

Example: npm create mars-brick -- @acme/mars-brick-count
         cd mars-brick-count && npm install && npm test`;

const NAME = /^(?:@([a-z0-9-]+)\/)?mars-brick-([a-z][a-z0-9-]*)$/;

function fail(message) {
  console.error(`${message}\n\n${USAGE}`);
  process.exit(2);
}

const [packageName, where] = process.argv.slice(2).filter((arg) => !arg.startsWith('--'));
if (process.argv.includes('--help')) {
  console.log(USAGE);
  process.exit(0);
}
if (packageName === undefined) fail('What is the package to be called?');
const match = NAME.exec(packageName);
if (match === null) fail(`"${packageName}" is no name for a brick package.`);

// A type of another package always has a scope; without an npm scope the brick's own name serves.
const [, scope = match[2], brick] = match;
const directory = path.resolve(where ?? `mars-brick-${brick}`);
if (existsSync(directory) && readdirSync(directory).length > 0)
  fail(`${directory} exists and is not empty; nothing was changed.`);

const className = brick.replace(/(^|-)([a-z0-9])/g, (_, __, letter) => letter.toUpperCase());
const words = { PACKAGE: packageName, TYPE: `${scope}/${brick}`, BRICK: brick, CLASS: `${className}Brick` };

cpSync(path.join(path.dirname(fileURLToPath(import.meta.url)), 'template'), directory, { recursive: true });
for (const file of readdirSync(directory, { recursive: true })) {
  const from = path.join(directory, file);
  if (!/\.(ts|json|md)$/.test(file)) continue;
  const text = readFileSync(from, 'utf8').replace(/\{\{([A-Z]+)\}\}/g, (_, word) => words[word]);
  writeFileSync(from, text);
  // npm would not pack files of these names as they are, or would take the template for a package of its own.
  const to = from.replace('_package.json', 'package.json').replace('/brick.', `/${brick}.`);
  if (to !== from) renameSync(from, to);
}
console.log(
  `Made ${directory}\n\n  cd ${path.relative('.', directory) || '.'}\n  npm install\n  npm test\n\nThen open src/${brick}.ts.`,
);
