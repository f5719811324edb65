#!/usr/bin/env node
import { RealFiles, ThisHost } from '@mars/platform/command-line';
import { fileURLToPath } from 'node:url';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { EXIT_GOOD, exitCodeOf, reportError } from '../mars-stack/exit.js';
import { readConfig } from './config-file.js';
import * as lifecycle from './lifecycle.js';
import { resolveSettings, type GivenSettings, type Settings } from './settings.js';
import { BUILD_TAG_TEXT, VERSION } from './version.js';
import { strictly } from '../strict-command-line.js';

interface Options {
  mars?: string;
  run?: string;
  host?: string;
  ip?: string;
  port?: number;
  insecure?: boolean;
  mountpointCheck?: boolean;
  logLevel?: 'error' | 'warn' | 'info' | 'debug';
  config?: string;
  json: boolean;
  detached?: boolean;
}

const text = (about: string) => ({ type: 'string', describe: about, requiresArg: true, global: true }) as const;

async function main(argv: string[]): Promise<number> {
  let code: number = EXIT_GOOD;
  const does =
    (action: (settings: Settings, options: Options) => Promise<number>) =>
    async (options: object): Promise<void> => {
      code = await action(settingsOf(options as Options), options as Options);
    };
  const say = (options: Options): lifecycle.CommandOutput => ({
    json: options.json,
    out: (line) => void process.stdout.write(line),
  });
  await strictly(yargs(argv), 'marsd')
    .scriptName('marsd')
    .usage('$0 COMMAND [OPTION…]\n\nThe daemon of one host.')
    .options({
      mars: text('the tree (MARS_DIR; default /mars)'),
      run: text('sockets, log, control files (MARS_RUN; default /run/mars)'),
      host: text('name of this host (MARS_HOST; default: its short host name)'),
      ip: text('address to listen on (MARS_IP; default: all)'),
      port: {
        type: 'number',
        describe: 'base port of the cluster (MARS_PORT; default 7777)',
        requiresArg: true,
        global: true,
      },
      config: text('settings (MARS_CONFIG; default /etc/mars/marsd.yaml)'),
      insecure: {
        type: 'boolean',
        describe: 'serve a tree without certificates in plain text (MARS_INSECURE=1)',
        global: true,
      },
      'mountpoint-check': {
        type: 'boolean',
        describe: 'with --no-mountpoint-check the tree may be an ordinary directory (MARS_NO_MOUNTPOINT_CHECK=1)',
        global: true,
      },
      'log-level': {
        choices: ['error', 'warn', 'info', 'debug'] as const,
        describe: 'how much is logged',
        global: true,
      },
      json: { type: 'boolean', default: false, describe: 'plain data on stdout', global: true },
    })
    .command('start', 'starts the daemon in the background; good when it runs already', {}, does(startDaemon(say)))
    .command(
      'stop',
      'stops it; refused while a device is open',
      {},
      does((settings, o) => lifecycle.stop(settings, say(o))),
    )
    .command(
      'status',
      'exit status 0: it runs; 3: it does not',
      {},
      does((settings, o) => lifecycle.status(settings, say(o))),
    )
    .command(
      'run',
      'runs the daemon in the foreground, log on stderr',
      (args) => args.option('detached', { type: 'boolean', hidden: true }),
      // Loaded when it is needed: start, stop and status should be quick.
      does(async (settings, o) => (await import('./run.js')).run({ settings, isDetached: o.detached === true })),
    )
    .version('version', 'shows the version', `marsd ${VERSION} ${BUILD_TAG_TEXT}`)
    .parseAsync();
  return code;
}

/** The daemon itself reads environment and files again; it gets the same words, and works in `/`, so paths must be absolute. */
function startDaemon(say: (options: Options) => lifecycle.CommandOutput) {
  return (settings: Settings, options: Options): Promise<number> => {
    const words = hideBin(process.argv).filter((word) => word !== 'start' && word !== '--json');
    return lifecycle.start(settings, { script: fileURLToPath(import.meta.url), args: words }, say(options));
  };
}

function settingsOf(options: Options): Settings {
  const { env } = process;
  const etc = env['MARS_ETC'] ?? '/etc/mars';
  const config = readConfig(new RealFiles(), options.config ?? env['MARS_CONFIG'], `${etc}/marsd.yaml`);
  const given: GivenSettings = options;
  return resolveSettings(given, env, config, new ThisHost().nodeName());
}

const argv = hideBin(process.argv);
try {
  process.exitCode = await main(argv);
} catch (error) {
  reportError(error, argv.includes('--json'));
  process.exitCode = exitCodeOf(error);
}
