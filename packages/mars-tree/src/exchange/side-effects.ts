import type { Files } from '@mars/brick-core';
import { splitPath } from '../names.js';
import { paths } from '../paths.js';
import { formatStamp } from '../stamp.js';
import type { TreeStore } from '../store/tree-store.js';

/** What has to happen after links of others were stored: caches of marsadm are stale, units of systemd may have to start. */
export class SideEffects {
  private isCacheStale = false;
  private readonly triggers = new Set<string>();

  constructor(
    private readonly store: TreeStore,
    private readonly files: Files,
  ) {}

  /** A link of a peer was stored at this path. Source: symlink-tree.md 2.1, 2.5 */
  taken(path: string): void {
    const { dir, name } = splitPath(path);
    if (dir === 'ips' || name.startsWith('device-')) this.isCacheStale = true;
    if (/^(primary|systemd)/.test(name)) this.addTrigger(dir);
  }

  cacheIsStale(): void {
    this.isCacheStale = true;
  }

  /** Does what was collected; the caller is not inside of a listener of the store. @throws MarsError FILE_IO */
  run(): void {
    if (this.isCacheStale) this.store.write(paths.cacheInvalid(this.store.me), '1');
    this.isCacheStale = false;
    for (const path of this.triggers) {
      this.triggers.delete(path);
      this.store.makeWayForFile(path);
      this.files.writeFile(this.store.disk.absolute(path), `${formatStamp(this.store.clock.realNs())}\n`);
    }
  }

  private addTrigger(dir: string): void {
    if (/(^|\/)userspace(\/|$)/.test(dir)) return;
    this.triggers.add(dir === 'todo-global' || dir === '' ? 'userspace/systemd-trigger' : `${dir}/systemd-trigger`);
  }
}
