import type { Logger } from '@mars/brick-core';
import { MAX_PROBLEMS } from '../limits.js';
import { printable } from '../names.js';

/** What is odd about something in the tree. It is ignored, and reported once. */
export type ProblemKind =
  | 'name is no UTF-8'
  | 'name is too long'
  | 'value is no plain text'
  | 'neither link, file nor directory'
  | 'cannot be read'
  | 'too deep'
  | 'too many entries'
  | 'directory in the way'
  | 'file in the way'
  | 'stamp too far ahead';

export interface Problem {
  path: string;
  kind: ProblemKind;
}

/** Remembers odd things, so that each is logged once (symlink-tree.md 3.10). */
export class Problems {
  private readonly known = new Map<string, Problem>();
  /** Problems beyond the bound. */
  uncounted = 0;

  constructor(private readonly log: Logger) {}

  note(path: string, kind: ProblemKind, facts: object = {}): void {
    const id = `${kind}: ${path}`;
    if (this.known.has(id)) return;
    if (this.known.size >= MAX_PROBLEMS) return void this.uncounted++;
    this.known.set(id, { path, kind });
    this.log.warn({ path: printable(path), problem: kind, ...facts }, 'something in the tree is ignored');
  }

  /** It may be reported again when it comes back. */
  clear(path: string): void {
    if (this.known.size === 0) return;
    for (const [id, problem] of this.known) if (problem.path === path) this.known.delete(id);
  }

  list(): Problem[] {
    return [...this.known.values()];
  }
}
