// npm run tidy: sizes and shapes of our code beside those of the code bases that we learn from (models.md 3).
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { root } from './steps.mjs';

const PEERS = {
  tigerbeetle: {
    functions: 2287,
    median: 14,
    p90: 60,
    longest: 466,
    over70: 7.0,
    fileMedian: 369,
    fileMax: 12413,
    comments: 15,
  },
  nbdkit: {
    functions: 1684,
    median: 13,
    p90: 53,
    longest: 584,
    over70: 5.5,
    fileMedian: 294,
    fileMax: 2014,
    comments: 9,
  },
  undici: {
    functions: 1881,
    median: 7,
    p90: 42,
    longest: 600,
    over70: 4.8,
    fileMedian: 230,
    fileMax: 2427,
    comments: 20,
  },
};

function walk(node, visit) {
  visit(node);
  ts.forEachChild(node, (child) => walk(child, visit));
}

function functionsOf(source) {
  const found = [];
  walk(source, (node) => {
    if (!ts.isFunctionLike(node) || !node.body) return;
    const first = source.getLineAndCharacterOfPosition(node.getStart(source)).line;
    const last = source.getLineAndCharacterOfPosition(node.end).line;
    found.push({ name: node.name?.getText(source) ?? '(anonymous)', lines: last - first + 1, file: source.fileName });
  });
  return found;
}

const isComment = (line) => /^\s*(\/\/|\/\*|\*)/.test(line);
const quantile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;

function measure(files) {
  const texts = files.map((file) => ({ file, text: readFileSync(file, 'utf8') }));
  const functions = texts.flatMap(({ file, text }) =>
    functionsOf(ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true)),
  );
  // Wrappers of one expression say nothing about shape.
  const named = functions.filter((f) => f.lines > 1);
  const lengths = named.map((f) => f.lines).sort((a, b) => a - b);
  const fileLines = texts.map(({ text }) => text.split('\n').length).sort((a, b) => a - b);
  const lines = texts.flatMap(({ text }) => text.split('\n')).filter((line) => line.trim());
  return {
    functions: lengths.length,
    median: quantile(lengths, 0.5),
    p90: quantile(lengths, 0.9),
    longest: lengths.at(-1) ?? 0,
    over70: Number(((100 * lengths.filter((n) => n > 70).length) / Math.max(1, lengths.length)).toFixed(1)),
    fileMedian: quantile(fileLines, 0.5),
    fileMax: fileLines.at(-1) ?? 0,
    comments: Math.round((100 * lines.filter(isComment).length) / Math.max(1, lines.length)),
    top: named.sort((a, b) => b.lines - a.lines).slice(0, 5),
  };
}

const all = readdirSync(path.join(root, 'packages'), { recursive: true })
  .filter((file) => /^[^/]+\/src\/.*\.ts$/.test(file))
  .map((file) => path.join(root, 'packages', file));
const tests = all.filter((file) => file.endsWith('.test.ts'));
const sources = all.filter((file) => !file.endsWith('.test.ts'));
const ours = measure(sources);
const rows = { ours, ...PEERS };
const columns = ['functions', 'median', 'p90', 'longest', 'over70', 'fileMedian', 'fileMax', 'comments'];
console.log(['', ...columns].map((c) => c.padStart(11)).join(''));
for (const [name, row] of Object.entries(rows))
  console.log([name, ...columns.map((c) => String(row[c]))].map((c) => c.padStart(11)).join(''));
const count = (files) => files.reduce((sum, file) => sum + readFileSync(file, 'utf8').split('\n').length, 0);
console.log(`\n${(count(tests) / Math.max(1, count(sources))).toFixed(2)} test lines per source line`);
console.log('longest functions:');
for (const f of ours.top) console.log(`  ${f.lines}  ${f.name}  ${path.relative(root, f.file)}`);
