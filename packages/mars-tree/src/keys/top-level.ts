import { ADDRESS, UUID } from './hosts.js';
import { keyGroup } from './key.js';
import { HEX64 } from './numbers.js';
import { ONE, TEXT } from './texts.js';

export const TOP_LEVEL = keyGroup(
  {
    title: 'Top level',
    about: 'Who the cluster is, who takes part, and the directories for everything else.',
    source: 'symlink-tree.md 2.1',
  },
  {},
  [
    {
      path: 'uuid',
      codec: UUID,
      deletion: 'never',
      about:
        'Identity of the cluster, opaque, compared bytewise. Written at create-cluster; "(any)" while a join is in progress, then replaced by the merged value.',
      readers: 'daemon: lists of a cluster with another identity are dropped; marsadm: must be there',
      examples: [
        ['uuid', 'nodea_1795190987.123456789'],
        ['uuid', '(any)'],
        ['uuid', 'nodea Thu Nov 20 10:00:00 CET 2014'],
      ],
    },
    {
      path: 'ips/ip-{HOST}',
      codec: ADDRESS,
      writers: ['marsadm@anywhere', 'daemon@anywhere'],
      deletion: 'long',
      about:
        'Address of a member, or the name of another host whose address counts (at most three hops). The daemon writes it only when a push says so.',
      readers: 'daemon: peer list and addresses; marsadm: list of all hosts',
      examples: [['ips/ip-nodea', '10.1.0.1']],
    },
    { path: 'ips', kind: 'directory', about: 'Addresses of the members.' },
    {
      path: 'actual-{HOST}',
      kind: 'directory',
      writers: ['daemon@owner', 'marsadm@owner'],
      replication: 'by-owner',
      about: 'State of a host, see "Node status".',
    },
    { path: 'defaults', kind: 'directory', about: 'Settings of all hosts.' },
    { path: 'defaults-{HOST}', kind: 'directory', replication: 'by-owner', about: 'Settings of one host.' },
    { path: 'todo-global', kind: 'directory', about: 'Requests to all hosts.' },
    {
      path: 'userspace',
      kind: 'directory',
      writers: ['marsadm@anywhere', 'administrator@anywhere'],
      about: 'Free for the administrator.',
    },
    {
      path: 'userspace/tls-{HOST}',
      codec: HEX64,
      writers: ['daemon@anywhere'],
      about:
        'SHA-256 of the certificate of a host, written by the daemon that admitted it. A certificate counts only while this names it and ips/ip-HOST is there.',
      readers: 'daemon: who may connect',
      examples: [['userspace/tls-nodea', '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08']],
      source: 'decided.md, Trust',
    },
    {
      path: 'userspace/{KEY}',
      codec: TEXT,
      writers: ['marsadm@anywhere', 'administrator@anywhere'],
      about: 'Anything; by convention named KEY-HOST where it belongs to a host.',
      readers: 'the administrator',
      examples: [['userspace/flag', 'on']],
    },
    {
      path: 'resource-{RES}',
      kind: 'directory',
      writers: ['marsadm@anywhere', 'daemon@anywhere'],
      about: 'One replicated device; the daemon creates it when merging.',
      examples: [['resource-mydata']],
    },
    {
      path: 'cache-{HOST}/{NAME}.cache',
      kind: 'file',
      writers: ['marsadm@owner'],
      replication: 'local',
      importance: 'ignored',
      deletion: 'unlink',
      about: 'Cache of marsadm: one line "KEY1 KEY2 VALUE" or "KEY VALUE".',
      readers: 'nobody with success',
    },
    {
      path: 'cache-{HOST}/invalid',
      codec: ONE,
      writers: ['daemon@owner'],
      replication: 'local',
      deletion: 'unlink',
      about:
        'Touched when a link below ips/ or one named device-* was newly merged, on every push, and when a pushed check fails.',
      readers: 'marsadm: drops its caches',
      examples: [['cache-nodea/invalid', '1']],
    },
    {
      path: 'cache-{HOST}',
      kind: 'directory',
      writers: ['marsadm@owner', 'daemon@owner'],
      replication: 'local',
      about: 'Caches.',
    },
    {
      path: 'probe-{HOST}/got-{PEER}',
      codec: ONE,
      writers: ['daemon@owner'],
      replication: 'local',
      importance: 'optional',
      deletion: 'unlink',
      about: 'The tree of PEER has arrived below mars/ (trigger command f).',
      readers: 'marsadm: merge-cluster, split-cluster',
      examples: [['probe-nodea/got-nodeb', '1']],
    },
    {
      path: 'probe-{HOST}/mars/{REST}',
      kind: 'link-or-file',
      writers: ['daemon@owner'],
      replication: 'local',
      importance: 'optional',
      deletion: 'unlink',
      about: 'A foreign tree, as fetched.',
      readers: 'marsadm: merge-cluster, split-cluster',
    },
    {
      path: 'probe-{HOST}',
      kind: 'directory',
      writers: ['daemon@owner'],
      replication: 'local',
      importance: 'optional',
      about: 'Foreign trees.',
    },
    {
      path: 'backups-{SECONDS}/{REST}',
      kind: 'link-or-file',
      writers: ['marsadm@owner'],
      replication: 'local',
      importance: 'ignored',
      deletion: 'unlink',
      about: 'Copies of ips/ and uuid, made by split- and merge-cluster.',
      readers: 'marsadm: addresses of last resort',
    },
    {
      path: 'backups-{SECONDS}',
      kind: 'directory',
      writers: ['marsadm@owner'],
      replication: 'local',
      importance: 'ignored',
      about: 'Copies.',
    },
  ],
);

export const MESSAGE_FILES = keyGroup(
  {
    title: 'Message files',
    about:
      'Regular files with lines `STAMP STAMP PREFIX…` (real time, Lamport time). Classes: 0 debug, 1 info, 2 warn, 3 error, 4 fatal, 5 total.',
    source: 'symlink-tree.md 2.11',
  },
  { kind: 'file', writers: ['daemon@owner'], replication: 'local', importance: 'optional', deletion: 'unlink' },
  [
    {
      path: '{N}.{CLASS}.log',
      about: 'Appended to only where it exists: the administrator creates it by touch. 5.total.log is required.',
      readers: 'people and test-suites',
      examples: [['5.total.log']],
    },
    { path: '{N}.{CLASS}.status', about: 'Rewritten every statusfiles_rollover_sec.', examples: [['3.error.status']] },
    {
      path: 'resource-{RES}/{N}.{CLASS}.log',
      about: 'The same, messages of one resource.',
      examples: [['resource-mydata/3.error.log']],
    },
    {
      path: 'resource-{RES}/{N}.{CLASS}.status',
      about: 'The same. A 3.error.status must go when its condition is gone.',
      readers: 'marsadm view: 2.warn, 3.error, 4.fatal',
      examples: [['resource-mydata/3.error.status']],
    },
    {
      path: 'resource-{RES}/logstatus-{HOST}.status',
      importance: 'required',
      about: 'Replication messages of one resource.',
      readers: 'marsadm primary: gives up at a line that contains "error"',
      examples: [['resource-mydata/logstatus-nodea.status']],
    },
  ],
);
