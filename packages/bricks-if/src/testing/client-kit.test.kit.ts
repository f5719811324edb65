import { BrickKit } from '@mars/brick-core/testing';
import { NbdClientBrick } from '../nbd-client/nbd-client.js';
import {
  CONTEXT_ID,
  bytesOf,
  chunk,
  handshake,
  scriptedServer,
  simpleReply,
  skipHandshake,
  takeRequest,
  type ExportText,
  type HostServices,
  type Peer,
  type SeenRequest,
  type ServerScript,
} from './scripted-server.test.kit.js';

export const uri = 'nbd+unix:///x?socket=/s';
const OFFSET_DATA = 1;
const STATUS = 5;

export type Answer = (request: SeenRequest, peer: Peer, connection: number) => Uint8Array | null;

/** A server that agrees on an export, and then answers each request with what `answer` returns (null = not yet). */
export function server(answer: Answer, what: ExportText | ((connection: number) => ExportText) = {}): ServerScript {
  return (peer, connection) => {
    if (peer.input.tail === 0) return peer.output.push(handshake(typeof what === 'function' ? what(connection) : what));
    skipHandshake(peer);
    for (let request = takeRequest(peer); request !== null; request = takeRequest(peer)) {
      const reply = request.type === 2 ? null : answer(request, peer, connection);
      if (reply !== null) peer.output.push(reply);
    }
  };
}

/** A disk of 1 MiB that does everything, and answers reads in one chunk. */
export function disk(store = new Uint8Array(2 ** 20)): Answer {
  return ({ type, cookie, offset, length, payload }) => {
    if (type === 1) store.set(payload, offset);
    if (type === 4 || type === 6) store.fill(0, offset, offset + length);
    if (type === 7) return chunk(cookie, STATUS, bytesOf(['u32', CONTEXT_ID], ['u32', length], ['u32', 0]));
    if (type !== 0) return simpleReply(cookie);
    if (length === 0) return chunk(cookie, 0, new Uint8Array(0));
    return chunk(cookie, OFFSET_DATA, bytesOf(['u64', offset], store.subarray(offset, offset + length)));
  };
}

export async function withClient(
  script: ServerScript,
  params: Record<string, unknown>,
  use: (kit: BrickKit<NbdClientBrick>, host: ReturnType<typeof scriptedServer>) => Promise<void>,
  services: HostServices = {},
): Promise<void> {
  const host = scriptedServer(script, services);
  const kit = new BrickKit(NbdClientBrick, { uri, ...params }, host);
  try {
    await kit.open();
    await use(kit, host);
  } finally {
    await kit.close();
  }
}
