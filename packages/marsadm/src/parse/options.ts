import { DEFAULT_TIMEOUT_S, DEFAULT_WINDOW_S } from '../limits.js';
import { UsageError } from '../exit.js';
import { identifier, suggestions } from './names.js';
import { parseSize } from './size.js';

/** All that options can say. Seconds, bytes and counts are plain numbers. */
export interface Options {
  force: number;
  dryRun: number;
  verbose: number;
  /** Seconds; -1 = for ever. */
  timeout: number;
  window: number;
  threshold: number;
  /** Host the command acts for; null = this one. */
  host: string | null;
  /** Addresses by host; '' = the host the command acts for. */
  ips: Map<string, string>;
  macro: string | null;
  logger: string;
  ignoreSync: number;
  ignoreDeletedPeers: number;
  parallel: number | null;
  singlestep: number;
  errorInjectionPhase: number;
  threshLogfiles: number;
  threshLogsize: number;
  stuckSeconds: number;
  keepBackupHours: number;
  autoclean: number;
  systemdEnable: number | null;
  backupDir: string | null;
  mars: string | null;
  run: string | null;
  json: boolean;
  yes: boolean;
  token: string | null;
  insecure: boolean;
  noMountpointCheck: boolean;
  watch: boolean;
  noColor: boolean;
}

export function defaultOptions(): Options {
  return {
    force: 0,
    dryRun: 0,
    verbose: 0,
    timeout: DEFAULT_TIMEOUT_S,
    window: DEFAULT_WINDOW_S,
    threshold: 10_485_760,
    host: null,
    ips: new Map(),
    macro: null,
    logger: '/usr/bin/logger',
    ignoreSync: 0,
    ignoreDeletedPeers: 1,
    parallel: null,
    singlestep: 0,
    errorInjectionPhase: 0,
    threshLogfiles: 10,
    threshLogsize: 5,
    stuckSeconds: 3600,
    keepBackupHours: 168,
    autoclean: 0,
    systemdEnable: null,
    backupDir: null,
    mars: null,
    run: null,
    json: false,
    yes: false,
    token: null,
    insecure: false,
    noMountpointCheck: false,
    watch: false,
    noColor: false,
  };
}

type Take = (options: Options, value: string | null, name: string) => void;

/** One row of the table: `--NAME`, what follows it, and what it means. */
export interface OptionRow {
  readonly name: string;
  readonly letter?: string;
  /** Shown behind the name: `=SEC`, `[=N]`, or nothing. */
  readonly form: '' | `=${string}` | `[=${string}]`;
  readonly about: string;
  /** Our own addition, or accepted without function. */
  readonly note?: 'ours' | 'without function';
  readonly take: Take;
}

type NumberKey = { [K in keyof Options]: Options[K] extends number | null ? K : never }[keyof Options];
type TextKey = { [K in keyof Options]: Options[K] extends string | null ? K : never }[keyof Options];
type FlagKey = { [K in keyof Options]: Options[K] extends boolean ? K : never }[keyof Options];

const counter =
  (key: NumberKey): Take =>
  (options, value, name) => {
    options[key] = value === null ? (options[key] ?? 0) + 1 : integer(value, name);
  };
const number =
  (key: NumberKey, least = 0): Take =>
  (options, value, name) => {
    options[key] = integer(value, name, least);
  };
const text =
  (key: TextKey): Take =>
  (options, value) => {
    options[key] = value!;
  };
const flag =
  (key: FlagKey): Take =>
  (options) => {
    options[key] = true;
  };
const nothing: Take = () => {};

/** Source: marsadm.md 2; decided.md for the rows marked as ours. */
export const OPTIONS: readonly OptionRow[] = [
  { name: 'force', letter: 'f', form: '[=N]', about: 'overrides checks, see the commands', take: counter('force') },
  {
    name: 'dry-run',
    letter: 'd',
    form: '[=N]',
    about: 'changes nothing, waits for nothing: only says what would be done',
    take: counter('dryRun'),
  },
  {
    name: 'verbose',
    letter: 'v',
    form: '[=N]',
    about: 'says more; with --help also shows rare commands',
    take: counter('verbose'),
  },
  { name: 'timeout', form: '=SEC', about: 'longest wait, -1 = for ever (600)', take: number('timeout', -1) },
  { name: 'window', form: '=SEC', about: 'what is older is no sign of life (60)', take: number('window') },
  {
    name: 'threshold',
    form: '=SIZE',
    about: 'what counts as nearly equal (10485760)',
    take: (options, value) => {
      options.threshold = parseSize(value!);
    },
  },
  {
    name: 'host',
    form: '=HOST',
    about: 'acts for another host; use with care',
    take: (options, value) => {
      options.host = identifier(value!, 'host');
    },
  },
  {
    name: 'ip',
    form: '=IP',
    about: 'address of this host, or of the one named before with --host=; --ip-PEER=IP: of another',
    take: (options, value) => {
      options.ips.set(options.host ?? '', ipAddress(value!));
    },
  },
  { name: 'macro', form: '=TEXT', about: 'text of a macro for view', note: 'without function', take: text('macro') },
  {
    name: 'logger',
    form: '=PATH',
    about: 'program that writes to syslog, empty = none (/usr/bin/logger)',
    take: text('logger'),
  },
  {
    name: 'ignore-sync',
    form: '[=N]',
    about: 'primary: other members need not be synced',
    take: counter('ignoreSync'),
  },
  {
    name: 'ignore-deleted-peers',
    form: '=N',
    about: 'peers without address: 1 = not counted, 0 = counted, 2 = not shown at all',
    note: 'without function',
    take: number('ignoreDeletedPeers'),
  },
  {
    name: 'parallel',
    form: '[=N]',
    about: 'accepted; phases already act on all resources before they wait for any',
    note: 'without function',
    take: counter('parallel'),
  },
  { name: 'singlestep', form: '', about: 'asks for RETURN before each phase', take: counter('singlestep') },
  {
    name: 'error-injection-phase',
    form: '=N',
    about: 'for tests: fails in phase N',
    take: number('errorInjectionPhase'),
  },
  {
    name: 'thresh-logfiles',
    form: '=N',
    about: 'log-rotate, cron: so many old logs are enough (10)',
    take: number('threshLogfiles'),
  },
  {
    name: 'thresh-logsize',
    form: '=N',
    about: 'log-rotate, cron: then only above this size, 10^9 bytes (5)',
    take: number('threshLogsize'),
  },
  {
    name: 'stuck-seconds',
    form: '=SEC',
    about: 'view: when a replay counts as stuck (3600)',
    take: number('stuckSeconds'),
  },
  { name: 'keep-backup-hours', form: '=H', about: 'cron, link-purge-all (168)', take: number('keepBackupHours') },
  { name: 'keep-backups', form: '=H', about: 'the same', take: number('keepBackupHours') },
  {
    name: 'autoclean',
    form: '=DAYS',
    about: 'cron: removes links of unknown hosts, 0 = off',
    note: 'without function',
    take: number('autoclean'),
  },
  {
    name: 'systemd-enable',
    form: '=0|1',
    about: 'whether systemd units are looked after',
    note: 'without function',
    take: number('systemdEnable'),
  },
  {
    name: 'backup-dir',
    form: '=/PATH',
    about: 'where merge-cluster would put its backups',
    note: 'without function',
    take: text('backupDir'),
  },
  { name: 'ssh-port', form: '=N', about: 'of old fallbacks', note: 'without function', take: nothing },
  { name: 'no-ssh', form: '', about: 'of old fallbacks', note: 'without function', take: nothing },
  { name: 'ssh-opts', form: '=TEXT', about: 'of old fallbacks', note: 'without function', take: nothing },
  { name: 'max-deletions', form: '=N', about: '', note: 'without function', take: nothing },
  { name: 'delete-method', form: '=N', about: '', note: 'without function', take: nothing },
  { name: 'mars', form: '=DIR', about: 'the tree, instead of /mars or MARS_DIR', note: 'ours', take: text('mars') },
  {
    name: 'run',
    form: '=DIR',
    about: 'state of the daemon, instead of /run/mars or MARS_RUN',
    note: 'ours',
    take: text('run'),
  },
  { name: 'json', form: '', about: 'one JSON object on stdout instead of texts', note: 'ours', take: flag('json') },
  { name: 'yes', form: '', about: 'answers questions with yes', note: 'without function', take: flag('yes') },
  {
    name: 'token',
    form: '=T',
    about: 'join-cluster: the line that invite has printed',
    note: 'ours',
    take: text('token'),
  },
  {
    name: 'insecure',
    form: '',
    about: 'create-cluster, join-cluster: plain text, for trusted networks only',
    note: 'ours',
    take: flag('insecure'),
  },
  {
    name: 'no-mountpoint-check',
    form: '',
    about: '/mars need not be a file system of its own (demos only: a full disk then stops more than MARS)',
    note: 'ours',
    take: flag('noMountpointCheck'),
  },
  { name: 'watch', form: '', about: 'view: shows it again and again', note: 'ours', take: flag('watch') },
  { name: 'no-color', form: '', about: 'view: without colours', note: 'without function', take: flag('noColor') },
];

/** `--name`, `--name=value`, blanks around `=` inside the argument. Source: marsadm.md 2 */
export function takeOption(options: Options, argument: string): void {
  const match = /^(--?)([A-Za-z][^=\s]*)(?:\s*=\s*([^]*))?$/.exec(argument);
  const value = match?.[3] ?? null;
  const name = match?.[2] ?? '';
  const peer = match?.[1] === '--' && /^ip-(.+)$/.exec(name)?.[1];
  if (peer) {
    if (value === null) throw needsValue('--ip-PEER', '=IP');
    options.ips.set(identifier(peer, 'host'), ipAddress(value));
    return;
  }
  const row = OPTIONS.find((o) => (match?.[1] === '--' ? o.name === name : o.letter === name));
  if (row === undefined) throw unrecognized(argument, name);
  if (row.form === '' && value !== null) throw new UsageError(`option '--${row.name}' takes no value`);
  if (row.form.startsWith('=') && value === null) throw needsValue(`--${row.name}`, row.form);
  row.take(options, value, `--${row.name}`);
}

function unrecognized(argument: string, name: string): UsageError {
  const near = suggestions(
    name,
    OPTIONS.map((o) => o.name),
  ).map((o) => `--${o}`);
  return new UsageError(
    `unrecognized argument '${argument}' (bad syntax)`,
    near.length > 0 ? [`Did you mean ${near.join(' or ')}?`] : ['marsadm --help shows all options.'],
  );
}

function needsValue(name: string, form: string): UsageError {
  return new UsageError(`option '${name}' needs a value (bad syntax)`, [`Write ${name}${form}, in one word.`]);
}

function integer(value: string | null, name: string, least = Number.MIN_SAFE_INTEGER): number {
  const isNumber = value !== null && /^-?\d{1,15}$/.test(value);
  if (!isNumber || Number(value) < least) {
    throw new UsageError(`value '${value}' of option '${name}' is no number (bad syntax)`);
  }
  return Number(value);
}

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/** @throws UsageError */
export function ipAddress(text: string): string {
  if (IPV4.test(text)) return text;
  throw new UsageError(`'${text}' is no IPv4 address`, ['Write four numbers with dots between them: 192.0.2.1']);
}

export function isIpAddress(text: string): boolean {
  return IPV4.test(text);
}
