import { LamportClock, TreeStore } from '@mars/mars-tree';

/** The daemon of one life of a host: it reads the tree first. */
export function openStore(host, options = {}) {
  const clock = new LamportClock(host.loop);
  const store = new TreeStore({ files: host.files, clock, root: '/mars', me: host.name, ...options });
  store.load();
  return store;
}
