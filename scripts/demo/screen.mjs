// What the demo shows: headings, one line per event, and bars that move while something is going on.
const isTerminal = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
const paint = (code) => (text) => (isTerminal ? `\u001b[${code}m${text}\u001b[0m` : text);
export const bold = paint(1);
export const dim = paint(2);
export const green = paint(32);
export const red = paint(31);
export const yellow = paint(33);

const startedAt = performance.now();
const BAR_CELLS = 24;

export function heading(text) {
  console.log(`\n${bold(text)}`);
}

/** One thing that happened, with the time since the start. */
export function say(text) {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1).padStart(5);
  console.log(`${dim(`${seconds}s`)}  ${text}`);
}

export function elapsedSeconds() {
  return (performance.now() - startedAt) / 1000;
}

export function bar(part, whole) {
  const share = whole <= 0 ? 1 : Math.max(0, Math.min(1, part / whole));
  const full = Math.round(share * BAR_CELLS);
  return `[${'█'.repeat(full)}${'·'.repeat(BAR_CELLS - full)}] ${String(Math.floor(share * 100)).padStart(3)}%`;
}

export function size(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let i = 0;
  for (; bytes >= 1024 && i < units.length - 1; i++) bytes /= 1024;
  return `${bytes >= 100 || i === 0 ? Math.round(bytes) : bytes.toFixed(1)} ${units[i]}`;
}

/** Draws `lines()` again and again until `isDone()`; without a terminal only the last state is printed. */
export async function watch(lines, isDone, { timeoutMs = 60_000, everyMs = 100 } = {}) {
  const end = performance.now() + timeoutMs;
  let drawn = 0;
  for (;;) {
    const done = await isDone();
    const now = lines();
    if (isTerminal) {
      if (drawn > 0) process.stdout.write(`\u001b[${drawn}A`);
      for (const line of now) process.stdout.write(`\u001b[2K        ${line}\n`);
      drawn = now.length;
    } else if (done) for (const line of now) console.log(`        ${line}`);
    if (done) return true;
    if (performance.now() > end) return false;
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
