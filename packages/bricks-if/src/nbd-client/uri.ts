import { ErrorCode, MarsError, type NetAddress } from '@mars/brick-core';
import { NBD_PORT } from '../nbd/protocol.js';

/** Where an export is. */
export interface NbdTarget {
  address: NetAddress;
  exportName: string;
  /** The scheme was `nbds`: the address is to be reached by TLS only. */
  isTls: boolean;
}

/**
 * `nbd://host[:port]/export` and `nbd+unix:///export?socket=/path`. Hosts are numeric, or `localhost`.
 *
 * @throws MarsError BAD_PARAMETER
 * Source: doc/uri.md of the NetworkBlockDevice project
 */
export function parseNbdUri(text: string): NbdTarget {
  const match =
    /^(nbds?)(\+unix)?:\/\/(?:\[([0-9a-fA-F:.]+)\]|([^/?#:[\]]*))(?::(\d{1,5}))?(?:\/([^?#]*))?(?:\?([^#]*))?$/.exec(
      text,
    );
  if (match === null) throw badUri(text, 'it does not look like one');
  const [, scheme, unix, host6, host, port, path = '', query = ''] = match;
  const address = unix ? unixAddress(text, query) : tcpAddress(text, host6 ?? host ?? '', Number(port ?? NBD_PORT));
  return { address, exportName: decoded(text, path), isTls: scheme === 'nbds' };
}

function unixAddress(text: string, query: string): NetAddress {
  for (const part of query.split('&')) {
    if (part.startsWith('socket=') && part.length > 7) return { path: decoded(text, part.slice(7)) };
  }
  throw badUri(text, 'a unix socket is named by ?socket=/path');
}

function tcpAddress(text: string, host: string, port: number): NetAddress {
  if (port < 1 || port > 65535) throw badUri(text, `${port} is no port`);
  if (host === 'localhost') return { host: '127.0.0.1', port };
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(host) || host.includes(':')) return { host, port };
  throw badUri(text, 'the host must be a numeric address');
}

function decoded(text: string, part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw badUri(text, 'a % in it is not followed by two digits');
  }
}

function badUri(text: string, why: string): MarsError {
  return new MarsError(ErrorCode.BAD_PARAMETER, `"${text}" is no address of an NBD export: ${why}`, {
    hint: 'Write nbd://192.0.2.1:10809/name, nbd://[2001:db8::1]/name or nbd+unix:///name?socket=/run/x.sock.',
  });
}
