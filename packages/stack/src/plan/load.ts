import { ErrorCode, didYouMean, type BrickRegistry } from '@mars/brick-core';
import { MAX_STACK_BRICKS } from '../limits.js';
import { Problems } from '../problems.js';
import { parseDocuments, type SourceDocument, type StackSource } from '../source/documents.js';
import { OVERLAY_SCHEMA, STACK_SCHEMA, hasShape } from '../source/schema.js';
import { checkStructure } from './check.js';
import { declareBricks, planMember, type Declared } from './members.js';
import { providersFirst } from './order.js';
import { applyOverlay, readOverlay, type Overlay } from './overlay.js';
import { Scope } from './scope.js';
import type { StackPlan, VarValues } from './types.js';
import { resolveVars, type LogDirectoryValue, type Variables } from './vars.js';
import { planWires, resolveProvider } from './wires.js';

export interface LoadOptions {
  registry: BrickRegistry;
  /** Values of variables; texts are read as the declared type. */
  vars?: VarValues;
  /** Which stack, when the files hold several. */
  stack?: string;
  /** Names of facts that the caller will supply, beside those of bricks.md 5.11. */
  facts?: readonly string[];
}

export interface LoadedStack {
  plan: StackPlan;
  /** Values of the secret variables; kept apart, so that the plan can be shown to anybody. */
  secrets: Record<string, string>;
  /**
   * The `log-directory` variables, by name. Their lists are empty until somebody (`LogKeeper` of marsd) recovers
   * what is there, loads the stack again with the list of logs as value, and supplies the facts `<variable>.mode` …
   */
  logDirectories: Record<string, LogDirectoryValue>;
}

/**
 * Reads a stack: one stack document, and any number of overlays, which are applied in order. Builds nothing.
 * @param sources text of one file, or several files; overlays may stand in the file of the stack or in their own
 * @throws StackFileError with every problem found, each with its place
 */
export function loadStack(sources: string | StackSource | readonly StackSource[], options: LoadOptions): LoadedStack {
  return load(sources, options, false);
}

/** What `checkStack` found to be in the files. */
export interface CheckedStack {
  /** `null` when the files hold overlays only. */
  plan: StackPlan | null;
  overlays: string[];
}

/**
 * Checks stack files without building anything and without needing values for variables: what depends on a missing
 * value is left unchecked, a family over a missing list is checked with one member.
 * @throws StackFileError
 */
export function checkStack(sources: string | StackSource | readonly StackSource[], options: LoadOptions): CheckedStack {
  const problems = new Problems();
  const { stacks, overlays } = readDocuments(sources, problems);
  if (stacks.length > 0) {
    const all = options.stack === undefined && stacks.length > 1;
    const chosen = all ? stacks : [chooseStack(stacks, options, problems)];
    problems.throwIfAny();
    // With several stacks nobody can know which of them an overlay is for.
    const plans = chosen.map((doc) => buildOrCollect(doc!, all ? [] : overlays, options, problems));
    problems.throwIfAny();
    return { plan: plans[0]!.plan, overlays: overlays.map(overlayName) };
  }
  const scope = new Scope(NO_VARS, new Map(), options.facts ?? []);
  for (const doc of overlays) readOverlay(doc, scope, options.registry, problems);
  problems.throwIfAny();
  return { plan: null, overlays: overlays.map(overlayName) };
}

const NO_VARS: Variables = {
  ...{ types: new Map(), values: new Map(), secrets: new Map() },
  ...{ logDirectories: new Map(), missing: new Set() },
};

function load(
  sources: string | StackSource | readonly StackSource[],
  options: LoadOptions,
  mayMiss: boolean,
): LoadedStack {
  const problems = new Problems();
  const { stacks, overlays } = readDocuments(sources, problems);
  const doc = chooseStack(stacks, options, problems);
  if (doc === undefined) problems.throwIfAny();
  return build(doc!, overlays, options, mayMiss, problems);
}

function buildOrCollect(
  doc: SourceDocument,
  overlays: readonly SourceDocument[],
  options: LoadOptions,
  problems: Problems,
): LoadedStack {
  try {
    return build(doc, overlays, options, true, new Problems());
  } catch (error) {
    problems.addError(error);
    return { plan: undefined as never, secrets: {}, logDirectories: {} };
  }
}

interface Documents {
  stacks: SourceDocument[];
  overlays: SourceDocument[];
}

function readDocuments(sources: string | StackSource | readonly StackSource[], problems: Problems): Documents {
  const files = typeof sources === 'string' ? [{ file: 'stack.yaml', text: sources }] : [sources].flat();
  const found: Documents = { stacks: [], overlays: [] };
  for (const doc of files.flatMap((source) => parseDocuments(source, problems))) {
    const keys =
      typeof doc.value === 'object' && doc.value !== null && !Array.isArray(doc.value) ? Object.keys(doc.value) : [];
    const isOverlay = keys.includes('overlay') && !keys.includes('stack');
    if (!isOverlay && !keys.includes('stack') && !keys.includes('bricks')) {
      problems.add(ErrorCode.BAD_STACK_FILE, 'this is neither a stack nor an overlay', {
        hint: 'A stack begins with "mars: 1" and "stack: NAME", an overlay with "mars: 1" and "overlay: NAME".',
        place: doc.places.start,
      });
    } else if (hasShape(doc, isOverlay ? OVERLAY_SCHEMA : STACK_SCHEMA, problems))
      found[isOverlay ? 'overlays' : 'stacks'].push(doc);
  }
  return found;
}

function chooseStack(
  stacks: readonly SourceDocument[],
  options: LoadOptions,
  problems: Problems,
): SourceDocument | undefined {
  const names = stacks.map((doc) => (doc.value as { stack: string }).stack);
  if (options.stack !== undefined) {
    const chosen = stacks[names.indexOf(options.stack)];
    if (chosen === undefined && stacks.length > 0)
      problems.add(ErrorCode.BAD_STACK_FILE, `there is no stack "${options.stack}" in these files`, {
        hint: didYouMean(options.stack, names),
      });
    return chosen;
  }
  if (stacks.length === 1) return stacks[0];
  if (stacks.length > 1)
    problems.add(ErrorCode.BAD_STACK_FILE, `these files hold ${stacks.length} stacks: ${names.join(', ')}`, {
      hint: 'Say which one: "--stack NAME".',
    });
  else if (!problems.any)
    problems.add(ErrorCode.BAD_STACK_FILE, 'these files hold no stack', {
      hint: 'An overlay is used together with the stack it is for: "mars-stack run STACK --overlay FILE".',
    });
  return undefined;
}

function build(
  doc: SourceDocument,
  overlays: readonly SourceDocument[],
  options: LoadOptions,
  mayMiss: boolean,
  problems: Problems,
): LoadedStack {
  const { registry } = options;
  const vars = resolveVars(doc, options.vars ?? {}, mayMiss, problems);
  const declared = declareBricks(doc, registry, vars, problems);
  const scope = new Scope(vars, new Map(declared.map(({ base, list }) => [base, list])), options.facts ?? []);
  const bricks = declared.flatMap((one) => one.members.map((member) => planMember(one, member, scope, doc, problems)));
  const wires = planWires(declared, doc.places, problems);
  checkAfter(declared, doc, problems);
  const { stack, about, world } = doc.value as { stack: string; about?: string; world?: 'real' | 'sim' };
  const raw: StackPlan = {
    ...{ stack, about: about ?? '', world: world ?? 'real' },
    ...{ vars: Object.fromEntries(vars.values), missing: [...vars.missing] },
    ...{ bricks, wires, exports: planExports(declared, doc, problems) },
  };
  if (bricks.length > MAX_STACK_BRICKS)
    problems.add(ErrorCode.LIMIT_REACHED, `the stack has ${bricks.length} bricks, ${MAX_STACK_BRICKS} are possible`);
  const read = overlays.map((overlay) => readOverlay(overlay, scope, registry, problems));
  // Only a plan whose wires all lead somewhere can be checked as a whole.
  const isSound = checkStructure(raw, declared, doc, registry, problems);
  problems.throwIfAny();
  return {
    plan: isSound ? withOverlays(raw, read, problems) : raw,
    secrets: Object.fromEntries(vars.secrets),
    logDirectories: Object.fromEntries(vars.logDirectories),
  };
}

function withOverlays(raw: StackPlan, overlays: readonly Overlay[], problems: Problems): StackPlan {
  let plan: StackPlan = { ...raw, bricks: providersFirst(raw.bricks, raw.wires) };
  for (const overlay of overlays) {
    try {
      plan = applyOverlay(plan, overlay);
    } catch (error) {
      problems.addError(error);
    }
  }
  problems.throwIfAny();
  return plan;
}

function planExports(declared: readonly Declared[], doc: SourceDocument, problems: Problems): StackPlan['exports'] {
  const { export: exports = {} } = doc.value as { export?: Record<string, string> };
  const byName = new Map(declared.map((one) => [one.base, one]));
  const planned: StackPlan['exports'] = {};
  for (const [name, text] of Object.entries(exports)) {
    const place = doc.places.value(['export', name]);
    const found = resolveProvider(text, byName, place, problems);
    if (found?.provider.list === null) planned[name] = { brick: found.provider.base, port: found.port };
    else if (found !== null)
      problems.add(ErrorCode.BAD_WIRE, `"${text}" is a family; an export is one brick`, {
        hint: 'Log files need no export: they are readable as log:<file>.',
        place,
      });
  }
  return planned;
}

function checkAfter(declared: readonly Declared[], doc: SourceDocument, problems: Problems): void {
  const names = declared.map((one) => one.base);
  for (const { declaration, path } of declared) {
    for (const [nr, name] of (declaration.after ?? []).entries()) {
      if (!names.includes(name))
        problems.add(ErrorCode.BAD_WIRE, `there is no brick "${name}"`, {
          hint: didYouMean(name, names),
          place: doc.places.value([...path, 'after', nr]),
        });
    }
  }
}

function overlayName(doc: SourceDocument): string {
  return (doc.value as { overlay: string }).overlay;
}
