import type { Session } from '../execute/session.js';
import { Dying } from '../exit.js';
import { SSH_TIMEOUT_MS } from '../limits.js';
import { readText } from '../world.js';

/**
 * The join token: `--token`, `MARS_JOIN_TOKEN`, a file, the terminal, or `ssh root@HOST marsadm invite`.
 * @throws Dying when there is none. Source: decided.md, "Trust"
 */
export async function findToken(session: Session, peer: string): Promise<string> {
  const given = session.options.token ?? session.world.env['MARS_JOIN_TOKEN'];
  if (given !== undefined && given !== null && given !== '') return fromFile(session, given);
  const asked = await ask(session, peer);
  if (asked !== '') return asked;
  const fetched = await fetchBySsh(session, peer);
  if (fetched !== null) return fetched;
  throw new Dying(`joining the cluster of '${peer}' needs a token`, [
    `Run "marsadm invite" on '${peer}' and give what it prints with --token=TOKEN (or MARS_JOIN_TOKEN). It is good for one hour and one host.`,
    'On a network where everybody is trusted, both sides can use --insecure instead.',
  ]);
}

/** `@FILE`, or a path. */
function fromFile({ world }: Session, text: string): string {
  const path = text.startsWith('@') ? text.slice(1) : text.startsWith('/') ? text : null;
  if (path === null) return text.trim();
  const contents = readText(world.files, path);
  if (contents === null) throw new Dying(`the file '${path}' with the token does not exist`);
  return contents.trim();
}

async function ask({ world, options }: Session, peer: string): Promise<string> {
  if (!world.host.isInteractive || options.json) return '';
  return (await world.host.ask(`Token of "marsadm invite" on ${peer} (empty: try ssh): `)).trim();
}

async function fetchBySsh({ world, out, dryRun }: Session, peer: string): Promise<string | null> {
  const command = `ssh -o BatchMode=yes root@${peer} marsadm invite`;
  if (dryRun) {
    out.say(`DRY_RUN: would execute '${command}'`);
    return '';
  }
  const [program, ...args] = command.split(' ');
  const { status, stdout } = await world.host.run(program!, args, { timeoutMs: SSH_TIMEOUT_MS });
  const token = stdout.trim();
  return status === 0 && /^\S+$/.test(token) ? token : null;
}
