import { DEVICE_NAME, HOST, HOST_LIST, HOST_OR_NONE, HOST_PLUS_LIST } from './hosts.js';
import { keyGroup } from './key.js';
import { REPLAY, VERSION } from './logs.js';
import { BOOL, INT } from './numbers.js';
import { ABSOLUTE_PATH, SKIP_CHECK, TRIGGER_TEXT, UNIT_NAME, VERIFY } from './texts.js';

export const RESOURCE_CONFIG = keyGroup(
  {
    title: 'Resource: identity and configuration',
    about: 'What a resource is, who may be primary, who takes part and with which disk.',
    source: 'symlink-tree.md 2.5',
  },
  {},
  [
    {
      path: 'resource-{RES}/size',
      codec: INT,
      about: 'Logical size, bytes. Written by create-resource and resize.',
      readers: 'daemon: device size, end of a sync, "is this a resource"; marsadm',
      examples: [['resource-mydata/size', '268435456']],
    },
    {
      path: 'resource-{RES}/primary',
      codec: HOST_OR_NONE,
      about: 'Designated primary. Any host may write it; newest wins.',
      readers: 'daemon: role, source of a sync; marsadm',
      examples: [
        ['resource-mydata/primary', 'nodea'],
        ['resource-mydata/primary', '(none)'],
      ],
    },
    {
      path: 'resource-{RES}/data-{HOST}',
      kind: 'link-or-file',
      codec: ABSOLUTE_PATH,
      writers: ['marsadm@owner'],
      about: 'Underlying disk of HOST, or a regular file; or the path itself is a regular sparse file.',
      readers: 'daemon of HOST: opens it; others: number of members, name of the source of a sync; marsadm: membership',
      examples: [['resource-mydata/data-nodea', '/dev/vg00/lv-0']],
    },
    {
      path: 'resource-{RES}/device-{HOST}',
      codec: DEVICE_NAME,
      writers: ['marsadm@owner'],
      about: 'Name below /dev/mars/. While it is missing, the daemon of HOST does not touch this resource at all.',
      readers: 'daemon of HOST; others: HOST is an active peer; marsadm: "any peer" lists',
      examples: [
        ['resource-mydata/device-nodea', 'lv-0'],
        ['resource-mydata/device-nodea', '(none)'],
      ],
    },
    {
      path: 'resource-{RES}/maxnr',
      codec: INT,
      deletion: 'never',
      about:
        'Highest log number ever used. Survives delete-resource, so that a new resource of the same name starts above it.',
      readers: 'marsadm create-resource',
      examples: [['resource-mydata/maxnr', '3']],
    },
    {
      path: 'resource-{RES}/skip-check-{HOST}',
      codec: SKIP_CHECK,
      writers: ['marsadm@owner'],
      about: 'Permits HOST one jump in version numbers, to exactly this one.',
      readers: 'daemon of HOST',
      examples: [
        ['resource-mydata/skip-check-nodeb', '7'],
        ['resource-mydata/skip-check-nodeb', '7 after invalidate'],
      ],
    },
    {
      path: 'resource-{RES}/connect-{HOST}',
      codec: HOST_LIST,
      writers: ['marsadm@owner'],
      about: 'Peers from which HOST prefers to fetch (set-connect-pref-list, deprecated).',
      readers: 'daemon of HOST',
      examples: [['resource-mydata/connect-nodec', 'nodea,nodeb']],
    },
    {
      path: 'resource-{RES}/syncfrom-{HOST}',
      codec: HOST,
      writers: ['nobody'],
      importance: 'optional',
      about: 'HOST refuses a sync when the primary is another host than this one.',
      readers: 'daemon of HOST',
    },
    {
      path: 'resource-{RES}/systemd-want',
      kind: 'link-or-file',
      codec: HOST_OR_NONE,
      about: 'Where systemd units of the resource should run; may be an empty regular file.',
      readers: 'marsadm, systemd',
    },
    {
      path: 'resource-{RES}/systemd-start-unit',
      codec: UNIT_NAME,
      about: 'Unit to start on the primary.',
      readers: 'marsadm',
      examples: [['resource-mydata/systemd-start-unit', 'vm-mydata.service']],
    },
    {
      path: 'resource-{RES}/systemd-stop-unit',
      codec: UNIT_NAME,
      about: 'Unit to stop when the role is given up.',
      readers: 'marsadm',
    },
    {
      path: 'resource-{RES}/systemd-trigger',
      kind: 'file',
      codec: TRIGGER_TEXT,
      writers: ['daemon@anywhere', 'marsadm@anywhere'],
      replication: 'local',
      deletion: 'unlink',
      about: 'Touched when a link whose name begins with primary or systemd was merged from a peer.',
      readers: 'path units of systemd',
    },
    {
      path: 'userspace/systemd-trigger',
      kind: 'file',
      codec: TRIGGER_TEXT,
      writers: ['daemon@anywhere', 'marsadm@anywhere'],
      replication: 'local',
      deletion: 'unlink',
      about: 'The same for links below todo-global.',
      readers: 'path units of systemd',
    },
    { path: 'resource-{RES}/userspace', kind: 'directory', about: 'Free for tools.' },
    {
      path: 'resource-{RES}/userspace/last-primary',
      codec: HOST,
      about: 'Latest designated primary.',
      readers: 'marsadm',
      examples: [['resource-mydata/userspace/last-primary', 'nodea']],
    },
    {
      path: 'resource-{RES}/userspace/prev-primary',
      codec: HOST,
      about: 'The one before.',
      readers: 'marsadm',
    },
    {
      path: 'resource-{RES}/userspace/systemd-status-start-{HOST}',
      codec: INT,
      about: 'Exit code of the start unit.',
      readers: 'marsadm',
    },
    {
      path: 'resource-{RES}/userspace/systemd-status-stop-{HOST}',
      codec: INT,
      about: 'Exit code of the stop unit.',
      readers: 'marsadm',
    },
    {
      path: 'resource-{RES}/local-{HOST}',
      kind: 'directory',
      writers: ['marsadm@owner'],
      replication: 'local',
      about: 'Empty; created because others expect it.',
    },
    {
      path: 'resource-{RES}/local-{HOST}/connection-{NAME}',
      writers: ['daemon@owner'],
      replication: 'local',
      importance: 'ignored',
      deletion: 'unlink',
      about: '-1, 0 or 1 in debug builds of the original.',
    },
    { path: 'resource-{RES}/todo-{HOST}', kind: 'directory', about: 'Switches of a resource on one host.' },
    {
      path: 'resource-{RES}/actual-{HOST}',
      kind: 'directory',
      writers: ['daemon@owner', 'marsadm@owner'],
      about: 'Indicators of a resource on one host.',
    },
  ],
);

const SWITCHES = [
  ['attach', 'the disk may be opened at all (attach, detach)'],
  ['connect', 'log files may be fetched (resume-fetch, pause-fetch, connect, disconnect)'],
  ['allow-replay', 'logs may be replayed (resume-replay, pause-replay)'],
  ['sync', 'a full sync may run (resume-sync, pause-sync)'],
] as const;

export const RESOURCE_SWITCHES = keyGroup(
  {
    title: 'Resource: switches',
    about:
      'What the administrator wants. A missing switch is 0. marsadm does not rewrite a switch that is 1 already; 0 is always written.',
    source: 'symlink-tree.md 2.6',
  },
  { readers: 'daemon of HOST, each round; marsadm' },
  [
    ...SWITCHES.map(([name, about]) => ({
      path: `resource-{RES}/todo-{HOST}/${name}`,
      codec: BOOL,
      about: `1: ${about}.`,
      examples: [[`resource-mydata/todo-nodea/${name}`, '1'] as const],
    })),
    {
      path: 'resource-{RES}/todo-{HOST}/emergency-limit',
      codec: INT,
      about: 'Emergency threshold of this resource, percent of /mars (set-emergency-limit).',
    },
    {
      path: 'resource-{RES}/todo-{HOST}/exports',
      codec: HOST_PLUS_LIST,
      writers: ['nobody'],
      about: 'Experimental: guests of this resource.',
      readers: 'marsadm',
      examples: [['resource-mydata/todo-nodea/exports', 'guest1+guest2']],
    },
  ],
);

export const RESOURCE_PROGRESS = keyGroup(
  {
    title: 'Resource: progress',
    about: 'How far replay and sync of a host have come, and which history it has.',
    source: 'symlink-tree.md 2.7',
  },
  { writers: ['daemon@owner', 'marsadm@owner'] },
  [
    {
      path: 'resource-{RES}/replay-{HOST}',
      codec: REPLAY,
      about:
        'Log, position up to which the disk is known good, length of the dirty region behind it (bytes). marsadm writes it at create-/join-resource, invalidate, set-replay, always with 0,0.',
      readers: 'daemon of HOST: where to go on; all: comparisons; marsadm everywhere',
      examples: [['resource-mydata/replay-nodea', 'log-000000003-nodea,81920,4096']],
    },
    {
      path: 'resource-{RES}/version-{SEQ}-{HOST}',
      codec: VERSION,
      about:
        'History of HOST up to log SEQ. marsadm writes two of them at join and invalidate. The daemon never removes one: those of a former member may still be needed.',
      readers: 'daemon, marsadm: comparison of histories, split brain',
      examples: [
        [
          'resource-mydata/version-000000002-nodea',
          'be8f9347520e9953607b3dec123f3189,log-000000002-nodea,8192:be01168da29be039c04594d4816e93fd,log-000000001-nodea,5000',
        ],
        ['resource-mydata/version-000000000-nodea', '00000000000000000000000000000000,log-000000000-nodea,0:'],
      ],
    },
    {
      path: 'resource-{RES}/syncstatus-{HOST}',
      codec: INT,
      about:
        'Bytes synced so far, durable ones only; equal to size = done. marsadm: create-resource and fake-sync write size, join and invalidate 0, resize the new size on the primary.',
      readers: 'daemon of HOST, marsadm',
      examples: [['resource-mydata/syncstatus-nodeb', '268435456']],
    },
    {
      path: 'resource-{RES}/syncpos-{HOST}',
      codec: REPLAY,
      writers: ['daemon@owner'],
      about: 'Replay position of the primary at the end of the sync; written just before the final syncstatus.',
      readers: 'marsadm: consistent only when the own replay position has reached it',
      examples: [['resource-mydata/syncpos-nodeb', 'log-000000003-nodea,81920,4096']],
    },
    {
      path: 'resource-{RES}/verifystatus-{HOST}',
      codec: VERIFY,
      writers: ['daemon@owner'],
      about: 'Blocks that a sync found equal, and different; after each syncstatus.',
      readers: 'people',
      examples: [['resource-mydata/verifystatus-nodeb', '65536,12']],
    },
    {
      path: 'resource-{RES}/actsize-{HOST}',
      codec: INT,
      writers: ['daemon@owner'],
      about: 'Bytes of the underlying disk, while attached.',
      readers: 'marsadm: limit of resize, hints',
    },
  ],
);
