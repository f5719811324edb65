import { addressInTree } from '../checks/address.js';
import type { Job } from '../execute/job.js';
import { UsageError } from '../exit.js';
import type { Trust } from '../trust.js';
import { onePhase, type Command } from './command.js';

export const invite: Command = {
  name: 'invite',
  usage: '',
  about: 'Prints a join token: one line, good for one host and one hour, and only at this host.',
  resource: 'none',
  since: 'ours',
  checks: ['this host is a member of a cluster with certificates', 'its address is known'],
  writes: ['nothing in the tree'],
  notes: ['The token is a secret: whoever has it can join. Nothing else is printed on stdout.'],
  examples: ['invite', 'invite | ssh root@nodeb "marsadm join-cluster nodea --token=@/dev/stdin"'],
  phases: onePhase(runInvite),
};

export const trustCreate: Command = {
  name: 'trust-create',
  usage: '',
  about: 'Gives certificates to a cluster that was made by the original MARS: on one member only.',
  resource: 'none',
  since: 'ours',
  checks: ['there are no certificates here yet (force)'],
  writes: ['.trust/: the authority of the cluster and the certificate of this host'],
  notes: ['Then, for each other member: "marsadm invite" here, and "marsadm trust-join TOKEN" there.'],
  examples: ['trust-create'],
  phases: onePhase(runCreate),
};

export const trustJoin: Command = {
  name: 'trust-join',
  usage: 'TOKEN',
  about: 'Takes part in the certificates that another member has made with trust-create.',
  resource: 'none',
  since: 'ours',
  checks: ['there are no certificates here yet (force)'],
  writes: ['.trust/token, which the daemon redeems as soon as it reaches the inviting host'],
  examples: ['trust-join "$TOKEN"'],
  phases: onePhase(runJoin),
};

async function runInvite(job: Job): Promise<void> {
  const { session, out, host } = job;
  const trust = await openTrust(job);
  const state = trust.read();
  if (state.kind === 'insecure') {
    job.refuse(
      'this cluster works in plain text (--insecure), so nobody needs an invitation',
      'marsadm join-cluster HOST --insecure',
    );
  }
  if (state.kind !== 'member') {
    job.refuse(
      state.kind === 'joining' ? 'this host has not been admitted itself yet' : 'this cluster has no certificates yet',
      state.kind === 'joining'
        ? 'Start the daemon and wait until it has met the inviting host.'
        : 'First: marsadm trust-create',
    );
  }
  const ip = addressInTree(session, host);
  if (ip === null) job.refuse(`the address of '${host}' is not known`, 'marsadm lowlevel-set-host-ip HOST ADDRESS');
  if (session.dryRun) return out.say('DRY_RUN: would print a join token');
  const token = trust.invite({ host: ip, port: session.places.port });
  out.data(token);
  session.result = { token };
}

async function runCreate(job: Job): Promise<void> {
  const { session, out, host } = job;
  const trust = await openTrust(job);
  requireNoTrust(job, trust);
  if (session.dryRun) return out.say('DRY_RUN: would create the certificates of the cluster');
  await trust.create(host);
  job.tree.trigger('1');
  out.say(
    `The cluster has certificates now. For each other member: "marsadm invite" here, "marsadm trust-join TOKEN" there.`,
  );
}

async function runJoin(job: Job): Promise<void> {
  const { session, out } = job;
  const [token] = job.args;
  if (token === undefined)
    throw new UsageError("command 'trust-join' needs a token", [
      'marsadm invite, on a member that has one, prints it.',
    ]);
  const trust = await openTrust(job);
  requireNoTrust(job, trust);
  trust.readToken(token);
  if (session.dryRun) return out.say('DRY_RUN: would keep the token');
  trust.keepToken(token);
  job.tree.trigger('1');
  out.say('The token is kept; the daemon redeems it as soon as it reaches the inviting host.');
}

function openTrust({ session }: Job): Promise<Trust> {
  return session.world.openTrust(session.places.mars);
}

function requireNoTrust(job: Job, trust: Trust): void {
  const { kind } = trust.read();
  if (kind !== 'none') job.refuseUnlessForced(`this host has certificates or a token already (${kind})`);
}
