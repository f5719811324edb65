import { TOMBSTONE, paths } from '@mars/mars-tree';
import type { Job } from '../execute/job.js';
import { ping } from '../execute/ping.js';
import { LEAVE_SETTLE_MS, STOP_TIMEOUT_MS } from '../limits.js';
import { onePhase, type Command } from './command.js';

export const leaveCluster: Command = {
  name: 'leave-cluster',
  usage: '',
  about: 'Takes this host out of the cluster; its certificate is worth nothing from then on.',
  resource: 'none',
  since: '0.9',
  checks: ['the daemon runs (L)', 'this host has left all resources (force)'],
  writes: ['.deleted: ips/ip-HOST, actual-*/*-HOST, todo-global/deleted-HOST; with --host=DEAD also actual-DEAD/*'],
  waits: ['an answer of all living peers before the address goes, and a moment after it; not with --force'],
  force: 'asks nobody; with --host=DEAD removes a dead host',
  notes: ['Stops the daemon and removes .trust/ when it acts for this host. The uuid stays.'],
  examples: ['leave-cluster', '--host=nodec --force leave-cluster'],
  phases: onePhase(run),
};

async function run(job: Job): Promise<void> {
  const { session, tree, host } = job;
  check(job);
  deleteIndicators(job);
  tree.delete(`todo-global/deleted-${host}`);
  await tree.flush();
  const peers = job.force ? [] : (await ping(session, { isUpdate: true })).alive;
  tree.delete(paths.ip(host));
  await tree.flush();
  for (const peer of peers) tree.trigger(`p ${peer} ${TOMBSTONE} /mars/${paths.ip(host)}`);
  // Peers that have heard of it do not talk to this host any more, so nobody can say that all have.
  if (peers.length > 0 && !session.dryRun) await session.sleep(LEAVE_SETTLE_MS);
  if (host === session.me) await stopDaemon(job);
  session.result = { host, told: peers };
}

function check(job: Job): void {
  const { session, snapshot, host } = job;
  if (!session.daemon.isLoaded && host === session.me && !job.force) {
    job.refuse('the daemon does not run on this host', 'Start it ("marsd start"), so that the other hosts hear of it.');
  }
  const members = snapshot.resources().filter((resource) => snapshot.value(paths.data(resource, host)) !== null);
  if (members.length === 0) return;
  job.refuseUnlessForced(
    `host '${host}' is still a member of ${members.join(', ')}`,
    `First: marsadm down ${members[0]} && marsadm leave-resource ${members[0]}`,
  );
}

function deleteIndicators({ session, tree, snapshot, host }: Job): void {
  for (const dir of snapshot.list('').filter((name) => name.startsWith('actual-'))) {
    const isDead = dir === `actual-${host}` && host !== session.me;
    for (const name of snapshot.list(dir)) {
      if (isDead || name.endsWith(`-${host}`)) tree.delete(`${dir}/${name}`);
    }
  }
}

/** From here on this host is nobody. */
async function stopDaemon({ session, out }: Job): Promise<void> {
  if (session.dryRun) return out.say("DRY_RUN: would execute 'marsd stop', and remove .trust/");
  if (session.daemon.isLoaded) {
    const { mars, run } = session.options;
    const places = [...(mars === null ? [] : [`--mars=${mars}`]), ...(run === null ? [] : [`--run=${run}`])];
    const { status, stderr } = await session.world.host.run('marsd', ['stop', ...places], {
      timeoutMs: STOP_TIMEOUT_MS,
    });
    if (status !== 0) {
      out.warn(`the daemon could not be stopped: ${stderr.trim() || 'the program marsd was not found'}`);
      out.hint('Stop it now: marsd stop');
    }
  }
  (await session.world.openTrust(session.places.mars)).remove();
}
