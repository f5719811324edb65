import { MarsError, formatError, isMarsError, type ErrorCodeName, type SourcePlace } from '@mars/brick-core';
import { MAX_PROBLEMS } from './limits.js';

/**
 * Everything that is wrong with a stack file, in the order of the file. As a `MarsError` it is its first problem, so
 * that callers who match on `code` need not know about lists.
 */
export class StackFileError extends MarsError {
  constructor(readonly problems: readonly MarsError[]) {
    const first = problems[0]!;
    super(first.code, first.message, {
      ...(first.hint === undefined ? {} : { hint: first.hint }),
      ...(first.place === undefined ? {} : { place: first.place }),
      details: first.details,
    });
  }

  override toJSON(): object {
    return { ...super.toJSON(), problems: this.problems.slice(0, MAX_PROBLEMS), problemCount: this.problems.length };
  }
}

/** Collects problems, so that one look at a file finds all of them. */
export class Problems {
  private readonly found: MarsError[] = [];

  get any(): boolean {
    return this.found.length > 0;
  }

  add(
    code: ErrorCodeName,
    message: string,
    options: { hint?: string | undefined; place?: SourcePlace | undefined } = {},
  ): void {
    const { hint, place } = options;
    // Members of a family share their lines in the file: what is wrong there is said once.
    if (place !== undefined && this.found.some((p) => p.message === message && samePlace(p.place, place))) return;
    this.found.push(
      new MarsError(code, message, {
        ...(hint === undefined ? {} : { hint }),
        ...(place === undefined ? {} : { place }),
      }),
    );
  }

  /** Takes over an error that was thrown elsewhere; `place` is used when it has none of its own. */
  addError(error: unknown, place?: SourcePlace): void {
    if (!isMarsError(error)) throw error;
    if (error instanceof StackFileError) for (const problem of error.problems) this.found.push(problem);
    else this.add(error.code, error.message, { hint: error.hint, place: error.place ?? place });
  }

  /** @throws StackFileError when something was found */
  throwIfAny(): void {
    if (this.any) throw new StackFileError([...this.found].sort(byPlace));
  }
}

/** What a person sees: every problem with place and remedy, ten at most, the page of the manual once per kind. */
export function formatStackError(error: unknown): string {
  if (!(error instanceof StackFileError)) return formatError(error);
  const shown = error.problems.slice(0, MAX_PROBLEMS);
  const pages = new Set<string>();
  const texts = shown.map((problem) => {
    const text = formatError(problem);
    if (!pages.has(problem.page)) return pages.add(problem.page) && text;
    return text.split('\n').slice(0, -1).join('\n');
  });
  const rest = error.problems.length - shown.length;
  if (rest > 0) texts.push(`… and ${rest} more ${rest === 1 ? 'problem' : 'problems'}`);
  return texts.join('\n');
}

function samePlace(a: SourcePlace | undefined, b: SourcePlace): boolean {
  return a !== undefined && a.file === b.file && a.line === b.line && a.column === b.column;
}

/** Problems without a place (from the command line) come first; the sort is stable, so causes stay before effects. */
function byPlace(a: MarsError, b: MarsError): number {
  if (a.place === undefined || b.place === undefined)
    return Number(a.place !== undefined) - Number(b.place !== undefined);
  if (a.place.file !== b.place.file) return 0;
  return a.place.line - b.place.line || a.place.column - b.place.column;
}
