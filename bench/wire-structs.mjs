import { defineStruct, t } from '@mars/wire';

export const NOTE = defineStruct('bench.note', { number: t.int, stampNs: t.bigint, text: t.str });
export const BLOCK = defineStruct('bench.block', { id: t.int });

/** Everybody whose fingerprint is known is a member. */
export const factsOf = (fingerprints) => ({
  isMember: (host) => host in fingerprints,
  fingerprintOf: (host) => fingerprints[host] ?? null,
  renewed: () => {},
});
