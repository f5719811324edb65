import { paths } from '@mars/mars-tree';
import type { Job } from '../execute/job.js';
import { STABLE_ROUNDS, STABLE_ROUNDS_FORCED } from '../limits.js';

/** Between two looks, ms; the bound in rounds of window/8 + 1 s is that of the original. */
const LOOK_AGAIN_MS = 500;

/**
 * This host is not primary, and that is not just about to change: the designation has settled and the daemon confirms it.
 * Not bound by `--timeout`. @throws Dying. Source: marsadm.md 8, leave-resource
 */
export async function requireStableSecondary(job: Job): Promise<void> {
  const { session, out } = job;
  const roundMs = (session.options.window / 8 + 1) * 1000;
  const mostMs = job.force ? STABLE_ROUNDS_FORCED * LOOK_AGAIN_MS : STABLE_ROUNDS * roundMs;
  let said = '';
  for (let waitedMs = 0; ; waitedMs += LOOK_AGAIN_MS) {
    const wrong = whyUnstable(job);
    if (wrong === null) return;
    const isFinal = waitedMs >= mostMs || session.dryRun || !mayChange(job);
    if (isFinal) return refuse(job, wrong);
    if (wrong !== said) out.say(`waiting: ${wrong}`);
    said = wrong;
    await session.sleep(LOOK_AGAIN_MS);
    job.look();
  }
}

function refuse(job: Job, wrong: string): void {
  const { snapshot, resource, host } = job;
  const isDesignated = snapshot.primary(resource) === host;
  job.refuseUnlessForced(
    `role of host '${host}' for resource '${resource}' is not settled: ${wrong}`,
    ...(isDesignated
      ? [`First: marsadm secondary ${resource}, or "marsadm primary ${resource}" on another member.`]
      : []),
  );
}

function whyUnstable(job: Job): string | null {
  const { snapshot, resource, host, tree, session } = job;
  const half = session.options.window / 2;
  if (snapshot.isLit(resource, host, 'is-primary')) return `'${host}' is actually primary`;
  if (snapshot.primary(resource) === host) return `'${host}' is designated primary`;
  const ledAge = tree.ageSeconds(paths.actual(resource, host, 'is-primary'));
  if (ledAge === null || ledAge > half) return `the daemon of '${host}' has not confirmed its role within ${half} s`;
  const roleAge = tree.ageSeconds(paths.primary(resource));
  return roleAge !== null && roleAge < half ? `the designation of a primary is younger than ${half} s` : null;
}

/** Some things do not go away by waiting. */
function mayChange({ snapshot, resource, host, session }: Job): boolean {
  if (snapshot.primary(resource) === host) return false;
  return host !== session.me || session.daemon.isLoaded;
}
