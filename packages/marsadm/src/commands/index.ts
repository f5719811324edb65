import { compareNaturally } from '../parse/names.js';
import { attach, detach, down, up } from './attach-detach.js';
import { buttonCommands } from './buttons.js';
import { cat } from './cat.js';
import type { Command } from './command.js';
import { createCluster } from './create-cluster.js';
import { createUuid } from './create-uuid.js';
import { joinCluster } from './join-cluster.js';
import { leaveCluster } from './leave-cluster.js';
import { deleteFile, getLink, setLink } from './links.js';
import { deleteHost, lsHostIps, setHostIp } from './lowlevel.js';
import { invite, trustCreate, trustJoin } from './trust.js';
import { valueCommands } from './values.js';
import { updateCluster, waitCluster } from './wait-cluster.js';
import { viewWaits, waitConnect, waitResource, waitUmountCommand } from './waiting.js';

/** All commands, in the order of `--help`. */
export const COMMANDS: readonly Command[] = [
  createCluster,
  invite,
  joinCluster,
  leaveCluster,
  waitCluster,
  updateCluster,
  attach,
  detach,
  up,
  down,
  ...buttonCommands,
  waitConnect,
  waitResource,
  waitUmountCommand,
  ...viewWaits,
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
];

const BY_NAME = new Map(
  COMMANDS.flatMap((command) => [command.name, ...(command.aliases ?? [])].map((n) => [n, command])),
);

export function findCommand(name: string): Command | null {
  return BY_NAME.get(name) ?? null;
}

/** For suggestions. */
export function visibleNames(): string[] {
  return [...BY_NAME.keys(), 'help', 'version'].sort(compareNaturally);
}
