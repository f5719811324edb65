import { compareNaturally } from '../parse/names.js';
import { attach, detach, down, up } from './attach-detach.js';
import { buttonCommands } from './buttons.js';
import { cat } from './cat.js';
import type { Command } from './command.js';
import { completeNames, completion } from './completion.js';
import { createCluster } from './create-cluster.js';
import { createResource } from './create-resource.js';
import { createUuid } from './create-uuid.js';
import { joinCluster } from './join-cluster.js';
import { joinResource } from './join-resource.js';
import { leaveCluster } from './leave-cluster.js';
import { fakeSync, invalidate, setReplay } from './invalidate.js';
import { inspectCommands } from './inspect.js';
import { activateGuest, deactivateGuest } from './guests.js';
import { otherClusterCommands } from './other-clusters.js';
import { leftoverCommands } from './leftovers.js';
import { cron, linkPurgeAll } from './cron.js';
import { logDeleteAll, logDeleteOne } from './log-delete.js';
import { logRotate } from './log-rotate.js';
import { primary, secondary } from './primary.js';
import { systemdCommands } from './systemd.js';
import { deleteResource, leaveResource } from './leave-resource.js';
import { deleteFile, getLink, setLink } from './links.js';
import { errPurgeAll, logPurgeAll } from './log-purge.js';
import { deleteHost, lsHostIps, setHostIp } from './lowlevel.js';
import { resize } from './resize.js';
import { invite, trustCreate, trustJoin } from './trust.js';
import { view, viewCommand } from './view.js';
import { valueCommands } from './values.js';
import { updateCluster, waitCluster } from './wait-cluster.js';
import { viewWaits, waitConnect, waitResource, waitUmountCommand } from './waiting.js';

/** All commands, in the order of `--help`. */
export const COMMANDS: readonly Command[] = [
  view,
  createCluster,
  invite,
  joinCluster,
  leaveCluster,
  waitCluster,
  updateCluster,
  createResource,
  joinResource,
  leaveResource,
  deleteResource,
  resize,
  attach,
  detach,
  up,
  down,
  primary,
  secondary,
  ...buttonCommands,
  invalidate,
  fakeSync,
  setReplay,
  waitConnect,
  waitResource,
  waitUmountCommand,
  ...viewWaits,
  cron,
  logRotate,
  logDeleteAll,
  logDeleteOne,
  logPurgeAll,
  linkPurgeAll,
  errPurgeAll,
  activateGuest,
  deactivateGuest,
  ...systemdCommands,
  ...valueCommands,
  trustCreate,
  trustJoin,
  createUuid,
  lsHostIps,
  setHostIp,
  deleteHost,
  setLink,
  getLink,
  deleteFile,
  cat,
  completion,
  ...inspectCommands,
  ...otherClusterCommands,
  ...leftoverCommands,
];

const BY_NAME = new Map(
  COMMANDS.flatMap((command) => [command.name, ...(command.aliases ?? [])].map((n) => [n, command])),
);

export function findCommand(name: string): Command | null {
  return BY_NAME.get(name) ?? viewCommand(name);
}

/** For suggestions. */
export function visibleNames(): string[] {
  return [...BY_NAME.keys(), 'help', 'version'].sort(compareNaturally);
}

completeNames(visibleNames().filter((name) => !name.startsWith('view-wait-')));
