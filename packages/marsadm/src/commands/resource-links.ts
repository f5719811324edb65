import { REPLAY, SEQ, paths, type LogName } from '@mars/mars-tree';
import type { Job } from '../execute/job.js';

/** Links that create-, join-resource and invalidate have in common. Source: marsadm.md 8 */

export function makeResourceDirs({ tree, resource, host }: Job): void {
  const dir = paths.resource(resource);
  tree.makeDirs(
    dir,
    'userspace',
    `${dir}/userspace`,
    `${dir}/defaults`,
    ...['defaults', 'local', 'actual', 'todo'].map((name) => `${dir}/${name}-${host}`),
  );
}

/** All switches on, except attach, which comes last, when everything else is there. */
export function setSwitchesButAttach({ tree, resource, host }: Job): void {
  tree.set(paths.todo(resource, host, 'attach'), '0');
  for (const name of ['connect', 'sync', 'allow-replay']) tree.set(paths.todo(resource, host, name), '1');
}

export function startOfLog(log: LogName): string {
  return REPLAY.format({ log, posBytes: 0, dirtyBytes: 0 });
}

/** Numbers of logs and version links that carry the name of a host. */
export function leftOvers({ snapshot, resource, host }: Job): { path: string; sequence: number }[] {
  return snapshot.list(paths.resource(resource)).flatMap((name) => {
    const match = /^(?:log|version)-(\d{9,15})-(.*)$/.exec(name);
    if (match === null || match[2] !== host) return [];
    return [{ path: `${paths.resource(resource)}/${name}`, sequence: SEQ.read(match[1]!)! }];
  });
}

/** Messages about a state that is over. */
export function deleteErrorMessages({ tree, snapshot, resource, host }: Job): void {
  const dir = `${paths.resource(resource)}/actual-${host}`;
  for (const name of snapshot.list(dir)) if (name.startsWith('msg-err-')) tree.delete(`${dir}/${name}`);
}

/** Tells another host a link at once, so that it need not wait for the next exchange. */
export function pushTo({ tree, session }: Job, peer: string, path: string, value: string): void {
  if (peer !== session.me) tree.trigger(`p ${peer} ${value} /mars/${path}`);
}
