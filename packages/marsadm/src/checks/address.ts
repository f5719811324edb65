import { paths } from '@mars/mars-tree';
import type { Session } from '../execute/session.js';
import { Dying } from '../exit.js';
import { MAX_ADDRESS_HOPS } from '../limits.js';
import { isIpAddress } from '../parse/options.js';

/** Address of a host in ips/, also by way of another host's name; null = not known. Source: symlink-tree.md 2.1 */
export function addressInTree({ snapshot }: Session, host: string): string | null {
  let name = host;
  for (let hop = 0; hop <= MAX_ADDRESS_HOPS; hop++) {
    const value = snapshot.value(paths.ip(name));
    if (value === null) return null;
    if (isIpAddress(value)) return value;
    name = value;
  }
  return null;
}

/**
 * Address of the host that the command acts for: `--ip`, `MARS_IP`, ips/, name service, first interface.
 * @throws Dying when there is none. Source: marsadm.md 7, create-cluster
 */
export async function ownAddress(session: Session): Promise<string> {
  const { options, host, me, world, out } = session;
  const given = options.ips.get(options.host === null ? '' : host) ?? options.ips.get(host);
  const known = given ?? (host === me ? world.env['MARS_IP'] : undefined) ?? addressInTree(session, host);
  if (known != null && known !== '') return known;
  const named = usable(await world.host.lookup(host));
  if (named !== null) return named;
  const [first] = host === me ? world.host.addresses() : [];
  if (first === undefined) {
    throw new Dying(`no IP address of '${host}' is known`, ['Give it with --ip=ADDRESS.']);
  }
  out.note(`Using IP '${first.address}' from interface '${first.device}'`);
  return first.address;
}

/** Address of another host: given, `--ip-PEER=`, ips/, name service. @returns null = not known */
export async function peerAddress(session: Session, peer: string, given: string | undefined): Promise<string | null> {
  const { options, world } = session;
  const wanted = given ?? options.ips.get(peer);
  const known = addressInTree(session, peer);
  if (wanted !== undefined && known !== null && wanted !== known) {
    throw new Dying(`'${peer}' has the address ${known} in this cluster, not ${wanted}`, [
      `If it has changed: marsadm lowlevel-set-host-ip ${peer} ${wanted}`,
    ]);
  }
  return wanted ?? known ?? usable(await world.host.lookup(peer));
}

/** Many systems name themselves 127.0.1.1 in /etc/hosts, where nobody else can reach them. */
function usable(address: string | null): string | null {
  return address === null || address.startsWith('127.') ? null : address;
}
