import { keyGroup } from './key.js';
import { BOOL, INT, MASK, STAMP } from './numbers.js';
import { RES_LIST } from './hosts.js';
import { BUILD_TAG, FEATURES, MAJOR_MINOR, MESSAGE } from './texts.js';

export const NODE_STATUS = keyGroup(
  {
    title: 'Node status',
    about:
      'Written by the daemon of HOST. "Every round" is each pass of its main loop; "lazy" is only when the value changes.',
    source: 'symlink-tree.md 2.2',
  },
  { writers: ['daemon@owner'], replication: 'by-owner' },
  [
    {
      path: 'actual-{HOST}/time',
      codec: STAMP,
      about: 'Lamport now, every round.',
      readers: 'marsadm: the value, to see whether a host is alive and has answered',
      examples: [['actual-nodea/time', '1795191001.250000000']],
    },
    {
      path: 'actual-{HOST}/alive',
      codec: BOOL,
      about: '1 while running (every round), 0 while shutting down.',
      readers: 'all: its stamp says when the host was last heard of; the end of a sync waits for it',
      examples: [['actual-nodea/alive', '1']],
    },
    {
      path: 'actual-{HOST}/tree',
      codec: MAJOR_MINOR,
      about: 'Version of the layout, lazy: 0.1.',
      readers: 'marsadm: aborts if greater than 0.1, warns if different',
      examples: [['actual-nodea/tree', '0.1']],
    },
    {
      path: 'actual-{HOST}/features',
      codec: FEATURES,
      about: 'What this host can do, lazy. We publish strategy level 5.',
      readers: 'marsadm: minimum over all peers; daemon: intersection with peers',
      examples: [['actual-nodea/features', '4,5,0x071f0000']],
    },
    {
      path: 'actual-{HOST}/usable',
      codec: FEATURES,
      about: 'The same after intersection over all active peers, lazy.',
      readers: 'marsadm view',
      examples: [['actual-nodea/usable', '4,5,0x071f0000']],
    },
    {
      path: 'actual-{HOST}/buildtag',
      codec: BUILD_TAG,
      about: 'Version of the daemon, lazy. Its number must be greater than 97.',
      readers: 'marsadm: up to 97 it looks at the device node instead of if-on',
      examples: [['actual-nodea/buildtag', 'mars0.1astable177(2025-03-20 10:00:00)']],
    },
    {
      path: 'actual-{HOST}/emergency',
      codec: INT,
      about: 'Emergency level 0…4, lazy.',
      readers: 'marsadm view',
      examples: [['actual-nodea/emergency', '0']],
    },
    {
      path: 'actual-{HOST}/rest-space',
      codec: INT,
      about: 'GiB left in /mars above the reserved limits, lazy.',
      readers: 'marsadm view',
    },
    {
      path: 'actual-{HOST}/total-space',
      codec: INT,
      about: 'GiB of /mars above the reserved limits, lazy.',
      readers: 'marsadm view',
    },
    ...['log-digest', 'net-digest', 'log-compression', 'net-compression'].map((what) => ({
      path: `actual-{HOST}/used-${what}`,
      codec: INT,
      about: `Flag word of the ${what.replace('-', ' ')} in use, decimal; 0 = none yet. Lazy.`,
      readers: 'marsadm view',
    })),
    {
      path: 'actual-{HOST}/read-stamp',
      codec: STAMP,
      writers: ['daemon@others'],
      importance: 'optional',
      about:
        'Lamport time at HOST when it read its tree; written here, after each complete merge from HOST. The only path of another host that a daemon writes.',
      readers: 'marsadm: not used today',
      examples: [['actual-nodeb/read-stamp', '1795191001.250000000']],
    },
    {
      path: 'actual-{HOST}/marsadm-version',
      codec: MAJOR_MINOR,
      writers: ['marsadm@owner'],
      about: 'Version of marsadm; written by create-/join-cluster, log-rotate, cron.',
      readers: 'daemon: 2.9 everywhere permits the sparse contact scheme',
      examples: [['actual-nodea/marsadm-version', '2.9']],
    },
    {
      path: 'actual-{HOST}/compat-alivelinks',
      codec: BOOL,
      importance: 'optional',
      about: '0, once, after a takeover from an old tree.',
      readers: 'marsadm cron: 0 makes it delete the old status links at top level',
    },
    {
      path: 'actual-{HOST}/msg-needed-connection-with-{PEER}',
      codec: MESSAGE,
      importance: 'optional',
      about: 'State of a connection; the original never writes it for real peers.',
      readers: 'marsadm view all: shows what neither starts with OK nor contains CONNECTED',
    },
  ],
);

const DEFAULTS = [
  ['enabled-log-compressions', 'Compressions that logs may use'],
  ['enabled-net-compressions', 'Compressions that connections may use'],
  ['disabled-log-digests', 'Digests that logs must not use'],
  ['disabled-net-digests', 'Digests that connections must not use (the old MD5 is always ignored)'],
] as const;

export const SETTINGS = keyGroup(
  {
    title: 'Defaults',
    about: 'A daemon applies `defaults/*` first, then its own `defaults-ME/*`; those of other hosts never.',
    source: 'symlink-tree.md 2.3',
  },
  {},
  [
    {
      path: 'defaults-{HOST}/sync-limit',
      codec: INT,
      replication: 'by-owner',
      about: 'Syncs of HOST that may run at a time, 0 = unlimited.',
      readers: 'daemon of HOST: tunable sync_limit, each round',
      examples: [['defaults-nodea/sync-limit', '3']],
    },
    {
      path: 'defaults-{HOST}/sync-pref-list',
      codec: RES_LIST,
      replication: 'by-owner',
      importance: 'optional',
      about: 'Order in which syncs get a slot.',
      readers: 'daemons of old releases',
      examples: [
        ['defaults-nodea/sync-pref-list', '(none)'],
        ['defaults-nodea/sync-pref-list', 'mydata,other'],
      ],
    },
    ...DEFAULTS.map(([name, about]) => ({
      path: `defaults/${name}`,
      codec: MASK,
      about: `${about}: a mask of feature bits.`,
      readers: 'all daemons',
      examples: [[`defaults/${name}`, name.startsWith('enabled') ? '0x03000000' : '0x00100000'] as const],
    })),
    {
      path: 'resource-{RES}/defaults/{KEY}',
      codec: MASK,
      importance: 'optional',
      about: 'The same for one resource (a hidden command writes them).',
      readers: 'nobody',
    },
    {
      path: 'resource-{RES}/defaults-{HOST}/{KEY}',
      codec: MASK,
      importance: 'optional',
      about: 'The same for one resource on one host.',
      readers: 'nobody',
    },
    {
      path: 'resource-{RES}/defaults',
      kind: 'directory',
      importance: 'optional',
      about: 'Settings of a resource.',
    },
    {
      path: 'resource-{RES}/defaults-{HOST}',
      kind: 'directory',
      importance: 'optional',
      about: 'Settings of a resource on one host.',
    },
  ],
);
