import { keyGroup, type Key } from './key.js';
import { BOOL, INT, SINT, STAMP } from './numbers.js';
import { MESSAGE, REPLAY_CODE, TEXT } from './texts.js';
import type { Codec } from './codec.js';

/** Keys of `msg-` links; each exists for every active resource. Source: symlink-tree.md 2.8. */
export const MESSAGE_KEYS = [
  'err-versionlink-skip',
  'err-sequence-trash',
  'inf-log-foreign-denied',
  'inf-versionlink-not-yet-exist',
  'inf-versionlink-not-equal',
  'inf-replay-not-yet-finished',
  'err-bad-log-name',
  'err-log-not-contiguous',
  'err-versionlink-not-readable',
  'err-replaylink-not-readable',
  'err-splitbrain-detected',
  'inf-fetch',
  'inf-sync',
  'inf-sync-start',
  'wrn-log-consecutive',
  'inf-replay-start',
  'wrn-space-low',
  'err-space-low',
  'err-emergency',
  'err-replay-stop',
  'inf-replay-tolerance',
] as const;

const LEDS: readonly [name: string, codec: Codec<unknown>, about: string][] = [
  ['is-attached', BOOL, 'The disk is in use: set as soon as logger or sync exists, cleared when the disk is released.'],
  ['is-primary', BOOL, 'The device exists or is still being taken down. Rewritten every 15 s, also unchanged.'],
  ['if-on', BOOL, 'The device is fully available.'],
  ['open-count', INT, 'Openers of the device. Rewritten every 15 s, also unchanged; changes are notified at once.'],
  ['is-replaying', BOOL, 'The logger is in replay mode and not off.'],
  ['is-copying', BOOL, 'A fetch is running; stays 1 up to three rounds after the last byte.'],
  ['is-syncing', BOOL, 'A sync is running, or not yet fully stopped.'],
  ['has-emergency', BOOL, 'An emergency is wanted; marsadm refuses sync, invalidate and handover.'],
  ['is-emergency', BOOL, 'Logging has actually ceased.'],
  ['replay-code', REPLAY_CODE, 'How the last replay ended; negative only after it has persisted for alive_window.'],
  ['disk-error', SINT, '0 or −errno of the underlying disk.'],
  ['if-state', SINT, '0 or −errno of the device. This and the next three exist only while the device exists.'],
  ['if-flying', INT, 'Requests in flight.'],
  ['if-completion-stamp', STAMP, 'Time of the last completion.'],
  ['ops-if_rate', INT, 'Requests/s of the device.'],
  ['amount-if_rate', INT, 'KiB/s of the device.'],
  ['ops-replay_rate', INT, 'Records/s of replay.'],
  ['amount-replay_rate', INT, 'KiB/s of replay.'],
  ['ops-file_rate', INT, 'Requests/s of fetch.'],
  ['amount-file_rate', INT, 'KiB/s of fetch.'],
  ['ops-sync_rate', INT, 'Requests/s of sync.'],
  ['amount-sync_rate', INT, 'KiB/s of sync.'],
];

const EXAMPLES: Readonly<Record<string, string>> = { 'replay-code': '-74,10101,0x00', 'disk-error': '-5' };

export const INDICATORS = keyGroup(
  {
    title: 'Resource: indicators',
    about:
      'State of a resource on HOST, for every resource with a `device-HOST` link. Only `is-primary` and `open-count` are rewritten unchanged.',
    source: 'symlink-tree.md 2.8',
  },
  // marsadm: create-/join-resource write a first if-on, and several commands set all msg-err-* to the tombstone.
  { writers: ['daemon@owner', 'marsadm@owner'], readers: 'marsadm' },
  [
    ...LEDS.map(([name, codec, about]) => ({
      path: `resource-{RES}/actual-{HOST}/${name}`,
      codec,
      about,
      examples: name in EXAMPLES ? [[`resource-mydata/actual-nodea/${name}`, EXAMPLES[name]!] as const] : [],
    })),
    {
      path: 'resource-{RES}/actual-{HOST}/prosumer-on',
      codec: BOOL,
      writers: ['nobody'],
      importance: 'optional',
      about: 'Experimental: the device of a guest is available.',
    },
    ...MESSAGE_KEYS.map((key) => ({
      path: `resource-{RES}/actual-{HOST}/msg-${key}`,
      codec: MESSAGE,
      about:
        'A condition that people should know of; a condition that is gone keeps its text for mars_keep_msg_s, then OK.',
      examples:
        key === 'inf-fetch'
          ? ([
              ['resource-mydata/actual-nodea/msg-inf-fetch', 'OK'],
              [
                'resource-mydata/actual-nodea/msg-inf-fetch',
                '1795191001.250000000 1795191001.250000001 fetching from nodeb',
              ],
            ] as const)
          : [],
    })),
  ],
);

const NO_GRAMMAR = { codec: TEXT, writers: ['nobody'] } as const satisfies Partial<Key>;

export const LOG_FILES = keyGroup(
  {
    title: 'Resource: log files',
    about: 'Regular files; a tombstone link takes the place of one that was deleted.',
    source: 'symlink-tree.md 2.9',
  },
  {},
  [
    {
      path: 'resource-{RES}/log-{SEQ}-{HOST}',
      kind: 'link-or-file',
      writers: ['marsadm@anywhere', 'daemon@anywhere'],
      about:
        'Transaction log number SEQ, created by HOST; empty = announced. As a link it can only be the tombstone of a deleted log, which any host may write. Daemons of others hold fetched copies.',
      readers: 'all',
      examples: [['resource-mydata/log-000000003-nodea']],
    },
  ],
);

export const DEAD_NAMES = keyGroup(
  {
    title: 'Names for experiments, and dead names',
    about: 'Accepted and ignored.',
    source: 'symlink-tree.md 2.10',
  },
  { ...NO_GRAMMAR, importance: 'ignored' },
  [
    { path: 'resource-{RES}/_file-{NNN}-{HOST}', about: 'Wiring of a single brick.' },
    { path: 'resource-{RES}/_copy-{NNN}-{HOST}', about: 'Wiring of a single brick.' },
    { path: 'resource-{RES}/_direct-{NNN}-{HOST}', about: 'Wiring of a single brick.' },
    { path: 'resource-{RES}/transferstatus-{HOST}', about: 'Dead.' },
    { path: 'resource-{RES}/work-{HOST}', about: 'Dead.' },
    { path: 'resource-{RES}/logfile-update', about: 'Name of a copy instance inside the daemon.' },
    { path: 'resource-{RES}/copy-syncstatus-{HOST}', about: 'Name of a copy instance inside the daemon.' },
  ],
);
