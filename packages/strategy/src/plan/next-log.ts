import { LOG, VERSION, continues, paths, type LogName, type TreeSnapshot } from '@mars/mars-tree';
import type { Message } from './resource-facts.js';

export interface FollowQuestion {
  tree: TreeSnapshot;
  resource: string;
  me: string;
  old: LogName;
  next: LogName;
  /** Position up to which `old` is on the own disk. */
  posBytes: number;
  isDesignated: boolean;
  /** Bytes that may be missing at the end (a log that is damaged there, or a forced primary). */
  toleranceBytes: number;
}

/**
 * May this host go from log `old` to log `next`? The rules in their order; the first that fails names the message.
 * @returns null = yes. Source: symlink-tree.md 5.7 (rules 1 and 2 are kept before)
 */
export function whyNotFollow(question: FollowQuestion): Message | null {
  const { tree, resource, me, old, next, posBytes, isDesignated, toleranceBytes } = question;
  const from = LOG.format(old);
  const to = LOG.format(next);
  if (next.sequence !== old.sequence + 1)
    return { key: 'err-log-not-contiguous', text: `${to} does not follow ${from}: the numbers have a hole` };
  const own = tree.value(paths.version(resource, old.sequence, me));
  const creators = tree.value(paths.version(resource, old.sequence, old.host));
  if (own === null || creators === null)
    return { key: 'err-versionlink-not-readable', text: `the version links of ${from} are not both here` };
  if (isDesignated && old.host === me && next.host !== me)
    return { key: 'inf-log-foreign-denied', text: `${to} was written by another host, but this one is the primary` };
  const nexts = tree.value(paths.version(resource, next.sequence, next.host));
  if (next.host !== me && !isDesignated && nexts === null)
    return { key: 'inf-versionlink-not-yet-exist', text: `the version link of ${to} has not arrived yet` };
  if (own !== creators)
    return { key: 'inf-versionlink-not-equal', text: `${from} is not as far here as at ${old.host}` };
  const version = VERSION.read(own);
  if (version === null || LOG.format(version.log) !== from)
    return { key: 'err-bad-log-name', text: `the version link of ${from} names another log` };
  if (posBytes > version.lengthBytes || version.lengthBytes > posBytes + toleranceBytes) {
    return {
      key: 'inf-replay-not-yet-finished',
      text: `${from} is replayed to ${posBytes} of ${version.lengthBytes} bytes`,
    };
  }
  if (nexts !== null && !continues(nexts, own))
    return { key: 'err-splitbrain-detected', text: `${to} does not continue the history of ${from}: split brain` };
  return null;
}
