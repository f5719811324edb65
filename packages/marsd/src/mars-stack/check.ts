import { RealFiles } from '@mars/platform';
import { checkStack, loadStack, renderDot, renderSvg, renderTree, type LoadOptions, type StackPlan } from '@mars/stack';
import { allBrickTypes } from '../compose.js';
import { installedPackages } from '../plugins/installed.js';
import { EXIT_GOOD, type ExitCode } from './exit.js';
import { parseFacts, parsePairs, readSources } from './inputs.js';
import { wantsColour } from './screen.js';

export interface CheckOptions {
  file: string;
  set: string[];
  fact: string[];
  overlay: string[];
  stack?: string | undefined;
  json: boolean;
}

/** `mars-stack check`: finds everything that is wrong, builds nothing. Variables need no values. */
export async function check(options: CheckOptions): Promise<ExitCode> {
  const { plan, overlays } = checkStack(sourcesOf(options), await loadOptions(options));
  if (options.json)
    print(
      JSON.stringify({
        ok: true,
        stack: plan?.stack ?? null,
        overlays,
        bricks: plan?.bricks.length ?? 0,
        missing: plan?.missing ?? [],
      }),
    );
  else print(verdict(options.file, plan, overlays));
  return EXIT_GOOD;
}

export type GraphFormat = 'tree' | 'dot' | 'svg';

/** `mars-stack graph`: a picture of what the file says. */
export async function graph(options: CheckOptions & { format: GraphFormat }): Promise<ExitCode> {
  const how = await loadOptions(options);
  // Without values for its variables a stack can still be drawn, with the names of what is missing.
  const plan = checkStack(sourcesOf(options), how).plan ?? loadStack(sourcesOf(options), how).plan;
  const text = draw(plan, options.format);
  if (options.json) print(JSON.stringify({ ok: true, stack: plan.stack, format: options.format, plan, text }));
  else print(text);
  return EXIT_GOOD;
}

function draw(plan: StackPlan, format: GraphFormat): string {
  if (format === 'dot') return renderDot(plan);
  if (format === 'svg') return renderSvg(plan);
  return renderTree(plan, { colour: wantsColour(process.stdout) });
}

function verdict(file: string, plan: StackPlan | null, overlays: readonly string[]): string {
  const withOverlays = overlays.length === 0 ? '' : `, overlays ${overlays.join(', ')}`;
  if (plan === null) return `${file}: good${withOverlays} (the wires are checked together with a stack)`;
  const needs =
    plan.missing.length === 0
      ? ''
      : `\n  to run it, give values: ${plan.missing.map((name) => `--set ${name}=…`).join(' ')}`;
  return `${file}: good: stack "${plan.stack}", ${count(plan.bricks.length, 'brick')}, ${count(plan.wires.length, 'wire')}${withOverlays}${needs}`;
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}

function sourcesOf({ file, overlay }: CheckOptions): ReturnType<typeof readSources> {
  return readSources(new RealFiles(), [file, ...overlay]);
}

async function loadOptions({ set, fact, stack }: CheckOptions): Promise<LoadOptions> {
  const vars = parsePairs(set, '--set seed=7');
  return {
    registry: allBrickTypes(await installedPackages()),
    vars,
    facts: Object.keys(parseFacts(fact)),
    ...(stack === undefined ? {} : { stack }),
  };
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
