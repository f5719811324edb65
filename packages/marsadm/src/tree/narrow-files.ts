import type { Files } from '@mars/brick-core';

/**
 * The same files, but of the resources in a tree only some can be seen: who works on one of a thousand need not read the others.
 * `resources: null` = all; it may be changed.
 */
export class NarrowFiles {
  resources: ReadonlySet<string> | null = null;
  readonly files: Files;

  constructor(files: Files, root: string) {
    const readDir = (path: string): ReturnType<Files['readDir']> => {
      const list = files.readDir(path);
      return path === root ? (list?.filter(({ name }) => this.isSeen(name)) ?? null) : list;
    };
    this.files = new Proxy(files, {
      get(target, key) {
        if (key === 'readDir') return readDir;
        const member: unknown = Reflect.get(target, key);
        return typeof member === 'function' ? (member.bind(target) as unknown) : member;
      },
    });
  }

  private isSeen(name: string): boolean {
    return (
      this.resources === null || !name.startsWith('resource-') || this.resources.has(name.slice('resource-'.length))
    );
  }
}
