import { NS_PER_SECOND, paths } from '@mars/mars-tree';
import { ownAddress, peerAddress } from '../checks/address.js';
import { findToken } from '../checks/token.js';
import type { Job } from '../execute/job.js';
import { ping } from '../execute/ping.js';
import { TimedOut } from '../exit.js';
import { JOIN_ROUND_MS, LOOK_MS, MAX_JOIN_ROUNDS } from '../limits.js';
import { ipAddress } from '../parse/options.js';
import { requireMountPoint } from '../start/tree-checks.js';
import type { Trust } from '../trust.js';
import { makeClusterDirs, writeOwnSettings } from './create-cluster.js';
import { onePhase, type Command } from './command.js';

/** One second after the epoch: any real value wins over it. Source: symlink-tree.md 3.2 */
const WEAKEST_NS = NS_PER_SECOND;

const ANY = '(any)';

export const joinCluster: Command = {
  name: 'join-cluster',
  usage: 'HOST [IP] [--token=TOKEN] [--insecure]',
  about: 'Makes this host a member of the cluster to which HOST belongs.',
  resource: 'peer',
  since: '0.9',
  checks: [
    '/mars is a mount point',
    'HOST is another host, and its address is known or given (a token names it, too)',
    'a join token is given or can be fetched, unless --insecure',
    'there are no resources here yet (force)',
  ],
  writes: [
    'uuid = (any) and ips/ip-HOST with a stamp that any real value beats; ips/ip-ME and defaults-ME as in create-cluster',
    '.trust/token until the daemons have met, then certificates; with --insecure only a mark',
  ],
  waits: ['the uuid of the cluster, up to 5 times 3 seconds, when the daemon runs here; otherwise for nothing'],
  notes: [
    'The token comes from --token=TOKEN or --token=@FILE, from MARS_JOIN_TOKEN, from the terminal, or from "ssh root@HOST marsadm invite".',
    'Without a running daemon the join is completed when both daemons meet.',
  ],
  examples: ['join-cluster nodea', 'join-cluster nodea 192.0.2.1 --token=@/root/token'],
  needsUuid: false,
  phases: onePhase(run),
};

async function run(job: Job): Promise<void> {
  const { session, tree, host, out } = job;
  const [peer, givenIp] = job.args as [string, string | undefined];
  check(job, peer, givenIp);
  const trust = await session.world.openTrust(session.places.mars);
  const peerIp = (await peerAddress(session, peer, givenIp)) ?? null;
  const inviterIp = await enter(job, trust, peer);
  const address = peerIp ?? inviterIp;
  if (address === null)
    job.refuse(`no IP address of '${peer}' is known`, `Give it: marsadm join-cluster ${peer} ADDRESS`);
  const ip = await ownAddress(session);
  makeClusterDirs(session);
  tree.setBack(paths.uuid, ANY, WEAKEST_NS);
  tree.setWeak(paths.ip(peer), address, WEAKEST_NS);
  await tree.flush('2');
  writeOwnSettings(session);
  tree.set(paths.ip(host), ip);
  await tree.flush('2');
  session.result = { uuid: null, ip, peer, peerIp: address };
  if (session.daemon.isLoaded) return complete(job, peer, address, ip);
  out.say(`Joining the cluster of '${peer}': this is completed as soon as the daemons of both hosts run.`);
}

function check(job: Job, peer: string, ip: string | undefined): void {
  const { session, snapshot } = job;
  requireMountPoint(session.world, session.places);
  if (peer === job.host) job.refuse(`a host cannot join itself: '${peer}'`);
  if (ip !== undefined) ipAddress(ip);
  const resources = snapshot.resources();
  if (resources.length > 0) job.refuseUnlessForced(`there are resources here already: ${resources.join(', ')}`);
}

/** Puts the means of entry into `.trust/`. @returns address of the inviter by the token, null = there is no token */
async function enter(job: Job, trust: Trust, peer: string): Promise<string | null> {
  const { session } = job;
  if (session.options.insecure) {
    if (!session.dryRun) trust.createInsecure();
    return null;
  }
  const line = await findToken(session, peer);
  if (line === '') return null;
  const { inviter, address } = trust.readToken(line);
  if (inviter !== peer) {
    job.refuse(`this token is of '${inviter}', not of '${peer}'`, `marsadm join-cluster ${inviter}`);
  }
  if (!session.dryRun) trust.keepToken(line);
  return address.host;
}

/** The daemon runs: it redeems the token, fetches the tree, and the real uuid replaces the preliminary one. */
async function complete(job: Job, peer: string, peerIp: string, ip: string): Promise<void> {
  const { session, tree, out, host } = job;
  if (session.dryRun) return out.say('DRY_RUN: would wait for the uuid of the cluster');
  for (let round = 1; round <= MAX_JOIN_ROUNDS; round++) {
    tree.trigger(`P ${peer} ${peerIp} ${ip} /mars/${paths.ip(host)}`);
    tree.trigger(round === 1 ? '3' : '8');
    for (let waitedMs = 0; waitedMs < JOIN_ROUND_MS; waitedMs += LOOK_MS) {
      await session.sleep(LOOK_MS);
      const uuid = tree.look(paths.uuid).value(paths.uuid);
      if (uuid !== null && uuid !== ANY) return await joined(job, uuid, ip, peer, peerIp);
    }
    out.say(`waiting for the uuid of the cluster (round ${round} of ${MAX_JOIN_ROUNDS})`);
  }
  throw new TimedOut(`'${peer}' did not answer: the cluster is not joined yet`, [
    `Check that its daemon runs and that ${peerIp} can be reached. The join goes on by itself when it answers.`,
  ]);
}

async function joined({ session, out }: Job, uuid: string, ip: string, peer: string, peerIp: string): Promise<void> {
  session.result = { uuid, ip, peer, peerIp };
  await ping(session, { isUpdate: true });
  out.say(`Successfully joined cluster, uuid='${uuid}'`);
}
