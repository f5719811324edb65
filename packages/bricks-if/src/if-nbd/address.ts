import { ErrorCode, MarsError, type NetAddress } from '@mars/brick-core';
import { NBD_PORT } from '../nbd/protocol.js';

/**
 * Where to listen: `/run/mars/nbd/x.sock`, `127.0.0.1`, `127.0.0.1:10809`, `[::1]:10809` or `*:10809`.
 * @throws MarsError BAD_PARAMETER
 */
export function parseAddress(text: string): NetAddress {
  if (text.includes('/')) return { path: text };
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text);
  const port = match?.[3] === undefined ? NBD_PORT : Number(match[3]);
  if (match !== null && port <= 65535) {
    const host = match[1] ?? match[2]!;
    return { host: host === '*' ? '::' : host, port };
  }
  throw new MarsError(ErrorCode.BAD_PARAMETER, `"${text}" is no address to listen on`, {
    hint: 'Write a socket path like /run/mars/nbd/x.sock, or a numeric address like 127.0.0.1:10809 or [::1]:10809.',
  });
}

/** The same for people, and as a key. */
export function addressText(address: NetAddress): string {
  if ('path' in address) return address.path;
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
