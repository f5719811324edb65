import { ErrorCode, MarsError } from '@mars/brick-core';
import type { SimHost } from './world/host.js';

/**
 * Everything that was taken has been given back: requests, payload memory, ring operations, and (unless told otherwise) open
 * files and connections. Call it when the stacks of the host are off.
 * @throws MarsError VERIFY_FAILED with the list of what is missing
 */
export function noLeaks(host: SimHost, options: { files?: boolean; connections?: boolean } = {}): void {
  const { pool } = host.loop;
  const found: string[] = [];
  for (const o of pool.outstanding())
    found.push(`request ${o.slot} (operation ${o.op} at ${o.pos}, ${o.refs} references)`);
  for (const leak of host.arena.leaks()) found.push(`${leak.bytes} bytes of payload at ${leak.offset}`);
  if (pool.available !== pool.size && found.length === 0) found.push(`${pool.size - pool.available} requests`);
  if (host.ringsBusy > 0) found.push(`${host.ringsBusy} ring operations`);
  if (options.files ?? true) for (const file of host.files.openFiles) found.push(`open file ${file.path}`);
  if (options.connections ?? true) {
    const open = host.world.net.open(host.name);
    if (open.connections + open.listeners > 0)
      found.push(`${open.connections} connections, ${open.listeners} listeners`);
  }
  if (found.length === 0) return;
  throw new MarsError(ErrorCode.VERIFY_FAILED, `host ${host.name} has not given back: ${found.join(', ')}`, {
    hint: 'A request was not freed by its consumer, or retain() has no unretain().',
    details: { host: host.name, found },
  });
}

/** Nobody throws away what was promised: `expected` is what the bytes at `path` must be now, in the written image. */
export function fileHolds(host: SimHost, path: string, expected: Uint8Array): void {
  const found = host.files.readFile(path);
  if (found === null) throw mismatch(host, path, 'it is not there');
  if (found.length !== expected.length)
    throw mismatch(host, path, `it has ${found.length} bytes instead of ${expected.length}`);
  const at = found.findIndex((byte, i) => byte !== expected[i]);
  if (at >= 0) throw mismatch(host, path, `byte ${at} is ${found[at]} instead of ${expected[at]}`);
}

function mismatch(host: SimHost, path: string, what: string): MarsError {
  return new MarsError(ErrorCode.VERIFY_FAILED, `${path} on host ${host.name}: ${what}`, {
    hint: 'Compare with the trace (--trace FILE): the last sync of this file and everything since.',
  });
}
