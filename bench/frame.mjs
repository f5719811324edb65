// The frame of all benches: interleaved rounds, a ratio per round, then medians (data-path.md 9). Nothing here is a test:
// a bench measures and writes down, it never fails because the machine was slow.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const results = path.join(path.dirname(fileURLToPath(import.meta.url)), 'results');

export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * Measures one row: every contestant once per round, so that a change of the machine hits all of them alike.
 *
 * @param row.name    stable: `WORKLOAD SIZE dDEPTH`; what is no throughput starts with its measure and carries no depth
 * @param row.unit    `ns/request`, `MB/s`, `IOPS` …
 * @param row.better  'higher' or 'lower'
 * @param row.goalPeer  the peer that the goal names; without it the best one counts
 * @param row.contestants  { ours: async () => number, [peer]: async () => number }; `ours` must be there
 * @param row.rounds  at least 3
 */
export async function measure({ name, unit, better, goalPeer, contestants, rounds = 5 }) {
  const runs = [];
  for (let round = 0; round < rounds; round++) {
    const values = {};
    // Who goes first changes, so that nobody always runs on a warm or a cold machine.
    const names = Object.keys(contestants);
    for (const who of names.slice(round % names.length).concat(names.slice(0, round % names.length))) {
      values[who] = await contestants[who]();
    }
    runs.push(values);
    const line = Object.entries(values).map(([who, value]) => `${who} ${format(value)}`);
    console.log(`  ${name}  round ${round + 1}/${rounds}: ${line.join(', ')} ${unit}`);
  }
  return summarize({ name, unit, better, goalPeer, runs });
}

/** Turns raw rounds into a row of the result file. */
export function summarize({ name, unit, better, goalPeer, runs }) {
  const peers = Object.keys(runs[0]).filter((who) => who !== 'ours');
  const medianOf = (who) => median(runs.map((values) => values[who]));
  const best = (values) => {
    const against = goalPeer ? [goalPeer] : peers;
    if (against.length === 0) return undefined;
    return better === 'higher'
      ? Math.max(...against.map((p) => values[p]))
      : Math.min(...against.map((p) => values[p]));
  };
  const ratios = runs.map((values) => (best(values) === undefined ? null : values.ours / best(values)));
  return {
    name,
    unit,
    ours: round(medianOf('ours')),
    peers: Object.fromEntries(peers.map((peer) => [peer, round(medianOf(peer))])),
    ratio: ratios.includes(null) ? null : round(median(ratios)),
    better,
    runs: runs.map((values) => Object.fromEntries(Object.entries(values).map(([who, v]) => [who, round(v)]))),
  };
}

/** Changes of a ratio below this share are noise (data-path.md 2: "treat differences under about 25 % as unresolved"). */
const NOISE = 0.25;

/**
 * Compares ratios with those of the results that are there, i.e. the last ones that landed.
 * @returns one line per row that has become worse by more than the noise
 */
export function regressions(before, rows) {
  const old = new Map(before.map((row) => [row.name, row]));
  return rows.flatMap((row) => {
    const was = old.get(row.name)?.ratio;
    if (!was || !row.ratio) return [];
    const change = row.better === 'higher' ? was / row.ratio - 1 : row.ratio / was - 1;
    return change > NOISE ? [`${row.name}: ratio ${row.ratio}, was ${was} (${Math.round(change * 100)} % worse)`] : [];
  });
}

/** Writes `bench/results/NAME.json` and `NAME.md`. @returns what has become worse since the last results */
export function writeResults(bench, about, rows) {
  mkdirSync(results, { recursive: true });
  const file = path.join(results, `${bench}.json`);
  const worse = existsSync(file) ? regressions(JSON.parse(readFileSync(file, 'utf8')), rows) : [];
  writeFileSync(file, `${JSON.stringify(rows, null, 2)}\n`);
  const peers = [...new Set(rows.flatMap((row) => Object.keys(row.peers)))];
  const head = ['what', 'unit', 'ours', ...peers, 'ratio', 'better'];
  const lines = [
    `# Bench: ${bench}`,
    '',
    about,
    '',
    `Medians of interleaved rounds; \`ratio\` is the median of ours ÷ peer per round. Raw numbers: \`${bench}.json\`.`,
    `Machine: ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}, Linux ${release()}, Node ${process.versions.node}.`,
    'Absolute numbers depend on the machine; compare ratios.',
    '',
    `| ${head.join(' | ')} |`,
    `|${head.map(() => '---').join('|')}|`,
    ...rows.map((row) => {
      const cells = [
        row.name,
        row.unit,
        format(row.ours),
        ...peers.map((p) => (p in row.peers ? format(row.peers[p]) : '')),
        row.ratio ?? '',
        row.better,
      ];
      return `| ${cells.join(' | ')} |`;
    }),
    '',
  ];
  writeFileSync(path.join(results, `${bench}.md`), lines.join('\n'));
  console.log(`\n${lines.slice(8).join('\n')}`);
  for (const line of worse) console.log(`! worse than the last results: ${line}`);
  return worse;
}

function round(value) {
  return typeof value === 'number' ? Number(value.toPrecision(4)) : value;
}

function format(value) {
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US');
  return String(round(value));
}
