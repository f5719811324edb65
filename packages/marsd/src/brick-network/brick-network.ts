import { ErrorCode, MarsError, type NetAddress } from '@mars/brick-core';
import { BrickNetHub, type BrickNet } from '@mars/bricks-net';
import { LamportClock, TOMBSTONE, paths } from '@mars/mars-tree';
import type { Platform } from '@mars/platform';
import { PeerNet, TrustStore, type Identity, type MemberFacts } from '@mars/wire';

/** What a stack that is run by hand needs to reach other hosts, and to be reached. */
export interface BrickNetworkOptions {
  /** Name of this host. */
  host: string;
  /** Directory of the cluster's tree with its `.trust/`; null = none, then `insecure` must be set. */
  mars: string | null;
  /** Plain text. */
  insecure: boolean;
  /** `IP:PORT`, `[IPv6]:PORT` or `PORT`. */
  listen: readonly string[];
  /** First of the three ports of the cluster. */
  basePort: number;
}

export interface BrickNetwork {
  readonly net: BrickNet;
  /** Addresses that are listened on, for people. */
  readonly addresses: readonly string[];
  close(): Promise<void>;
}

const BOOT_ID = '/proc/sys/kernel/random/boot_id';
/** Port of disks, relative to the first one (transaction-log.md 6.1). */
const DISK_PORT = 2;

/**
 * The network of `mars-stack run`: identity and members as the files below `--mars` say, or plain text.
 * @throws MarsError TRUST_STATE, USAGE, SOCKET
 */
export async function openBrickNetwork(platform: Platform, options: BrickNetworkOptions): Promise<BrickNetwork> {
  const { loop, files, random, log, secureNet } = platform;
  const lamport = new LamportClock(loop);
  const valueOf = (path: string): string | null => {
    const value = options.mars === null ? null : files.readLink(`${options.mars}/${path}`);
    return value === TOMBSTONE ? null : value;
  };
  const facts: MemberFacts = {
    isMember: (host) => options.mars === null || valueOf(paths.ip(host)) !== null,
    fingerprintOf: (host) => valueOf(`userspace/tls-${host}`),
    // The daemon does that; who runs a stack by hand only reads the tree.
    renewed: () => {},
  };
  const peers = new PeerNet({
    net: secureNet,
    clock: loop,
    random,
    log,
    stamps: { now: () => lamport.now(), seen: (ns) => lamport.advanceLazy(ns) },
    host: options.host,
    version: 'mars-stack',
    identity: identityOf(platform, options),
    facts,
  });
  const addresses: string[] = [];
  try {
    for (const text of options.listen) {
      const at = await peers.listen(parseListen(text));
      addresses.push('path' in at ? at.path : `${at.host}:${at.port}`);
    }
  } catch (error) {
    await peers.close();
    throw error;
  }
  const bootId = new TextDecoder().decode(files.readFile(BOOT_ID) ?? new Uint8Array(0)).trim();
  const addressOf = (peer: string): NetAddress | null => {
    const ip = valueOf(paths.ip(peer));
    return ip === null ? null : { host: ip, port: options.basePort + DISK_PORT };
  };
  const net = new BrickNetHub({ peers, clock: loop, bootId, addressOf });
  return { net, addresses, close: () => peers.close() };
}

function identityOf(platform: Platform, { mars, insecure }: BrickNetworkOptions): Identity {
  if (mars === null) {
    if (insecure) return { kind: 'plain' };
    throw new MarsError(ErrorCode.USAGE, 'other hosts can be reached with certificates, or in plain text', {
      hint: 'Add --mars DIR (TLS, the tree of a member of a cluster) or --insecure (plain text, trusted networks only).',
    });
  }
  const { files, loop, random } = platform;
  const state = new TrustStore({ files, clock: loop, random, marsDir: mars }).read();
  if (state.kind === 'member') return state.identity;
  if (state.kind === 'insecure' || insecure) return { kind: 'plain' };
  throw new MarsError(ErrorCode.TRUST_STATE, `${mars} is not the tree of a member of a cluster`, {
    hint: '"marsadm create-cluster" or "marsadm join-cluster" makes it one; --insecure goes without certificates.',
  });
}

/** @throws MarsError USAGE */
export function parseListen(text: string): NetAddress {
  const match = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):)?([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match !== null && port < 65_536) return { host: match[1] ?? (match[2] || '0.0.0.0'), port };
  throw new MarsError(ErrorCode.USAGE, `--listen is "${text}"`, {
    hint: 'Write "7779", "192.0.2.1:7779" or "[2001:db8::1]:7779".',
  });
}
