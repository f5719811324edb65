#!/usr/bin/env node
import yargs, { type Argv } from 'yargs';
import { hideBin } from 'yargs/helpers';
import { list, show } from './catalogue.js';
import { check, graph, type GraphFormat } from './check.js';
import { CTL_VERBS, ctl } from './ctl.js';
import { EXIT_GOOD, exitCodeOf, reportError, type ExitCode } from './exit.js';
import { strictly } from '../strict-command-line.js';

/** A reader that went away (`mars-stack list | head`) is no error of ours. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? EXIT_GOOD : 1);
});

const texts = (about: string) =>
  ({ type: 'string', array: true, default: [] as string[], describe: about, requiresArg: true, nargs: 1 }) as const;

/** Options of every command that reads a stack file. */
function stackFile<T>(args: Argv<T>) {
  return args
    .positional('file', { type: 'string', demandOption: true, describe: 'stack file' })
    .option('set', texts('value of a variable: --set seed=7'))
    .option('fact', texts('a fact for conditions: --fact allow.attach=true'))
    .option('overlay', texts('file of an overlay'))
    .option('stack', { type: 'string', describe: 'which stack, when the file holds several' });
}

async function main(argv: string[]): Promise<ExitCode> {
  let code: ExitCode = EXIT_GOOD;
  const does =
    <A>(action: (args: A) => ExitCode | Promise<ExitCode>) =>
    async (args: A): Promise<void> => {
      code = await action(args);
    };
  await strictly(yargs(argv), 'mars-stack')
    .scriptName('mars-stack')
    .usage('$0 COMMAND …\n\nRuns, checks and shows stacks of bricks.')
    .option('json', { type: 'boolean', default: false, describe: 'plain data on stdout', global: true })
    .command(
      'run <file>',
      'runs a stack until it ends, or until Ctrl-C',
      (args) =>
        stackFile(args)
          .option('secret', texts('value of a secret variable, from a file: --secret key=FILE'))
          .option('world', { choices: ['real', 'sim'] as const, describe: 'instead of what the file says' })
          .option('seed', {
            type: 'number',
            describe: 'seed of the simulated world (default: the variable "seed", else 1)',
          })
          .option('duration', { type: 'string', describe: 'ends after this time, e.g. 20s' })
          .option('quiet', { type: 'boolean', default: false, describe: 'only the summary' })
          .option('verbose', { type: 'boolean', default: false, describe: 'log every step to stderr' })
          .option('ctl', { type: 'boolean', default: true, describe: 'control socket (--no-ctl: none)' })
          .option('mars', {
            type: 'string',
            describe: 'tree of the cluster with its certificates, to reach other hosts',
          })
          .option('host', { type: 'string', describe: 'name of this host (default: $MARS_HOST, else its short name)' })
          .option('listen', texts('lets other hosts use what "server" bricks export: --listen 7779'))
          .option('insecure', {
            type: 'boolean',
            default: false,
            describe: 'talks to other hosts in plain text, for trusted networks',
          })
          .option('block-server', {
            type: 'boolean',
            default: false,
            describe:
              'the kernel of this host uses the device: no swapping, no waiting for our own writes, no OOM killer',
          })
          .option('in-process', {
            type: 'boolean',
            default: false,
            describe: 'no thread of its own for the stack (for debuggers; a simulated world never has one)',
          })
          .example('$0 run stacks/demo-ram.yaml', 'a verified load on a RAM disk, with a live view')
          .example('$0 run stacks/fault-test.yaml --set seed=7', 'in a simulated world: same seed, same result')
          .example('$0 run stacks/demo-ram.yaml --overlay stacks/overlays/slow-disk.yaml', 'with a slower disk'),
      // Loaded when it is needed: the machine and the seeded world take a while, and most commands need neither.
      does(async (args) => (await import('./run.js')).run(args)),
    )
    .command(
      'check <file>',
      'finds everything that is wrong with a stack file; builds nothing',
      (args) => stackFile(args).example('$0 check stacks/fault-test.yaml', ''),
      does((args) => check(args)),
    )
    .command(
      'graph <file>',
      'draws a stack',
      (args) =>
        stackFile(args)
          .option('format', { choices: ['tree', 'dot', 'svg'] as const, default: 'tree' })
          .example('$0 graph stacks/demo-ram.yaml --format svg > demo.svg', ''),
      does((args) => graph({ ...args, format: args.format as GraphFormat })),
    )
    .command(
      'list',
      'shows all brick types',
      (args) => args,
      does((args) => list(args)),
    )
    .command(
      'show <type>',
      'shows ports, parameters and capabilities of a brick type, and a stack to try',
      (args) => args.positional('type', { type: 'string', demandOption: true }).example('$0 show delay', ''),
      does((args) => show(args)),
    )
    .command('plugins', 'brick packages of others: what is installed, and whether it may be used', (args) =>
      args
        .command(
          'list',
          'shows the packages of the plugin directory, and why one is not loaded',
          (own) => own,
          does(async (own: { json: boolean }) => (await import('./plugins.js')).listPlugins(own)),
        )
        .command(
          'init',
          'makes the plugin directory ($MARS_ETC/plugins, default /etc/mars/plugins)',
          (own) => own,
          does(async (own: { json: boolean }) => (await import('./plugins.js')).initPlugins(own)),
        )
        .demandCommand(1, 'plugins list, or plugins init?'),
    )
    .command(
      'ctl [words..]',
      `talks to a running stack: ${CTL_VERBS.map((verb) => verb.split(' ')[0]).join(', ')}`,
      (args) =>
        args
          .positional('words', { type: 'string', array: true, default: [] as string[], describe: '[SOCKET] COMMAND …' })
          .option('stack', { type: 'string', describe: 'name of the stack (default: the only one that runs)' })
          .option('name', { type: 'string', describe: 'name of an inserted brick' })
          .example('$0 ctl status', 'leds and wires')
          .example('$0 ctl insert check.next delay write=5ms', 'puts a filter on a wire, under load')
          .example('$0 ctl remove delay', 'takes it out again')
          .epilogue(
            `Commands:\n${CTL_VERBS.map((verb) => `  ${verb}`).join('\n')}\n\nSockets are in $MARS_RUN (default /run/mars), stack-NAME.sock.`,
          ),
      does((args) => ctl(args)),
    )
    .version(false)
    .parseAsync();
  return code;
}

const argv = hideBin(process.argv);
try {
  process.exitCode = await main(argv);
} catch (error) {
  reportError(error, argv.includes('--json'));
  process.exitCode = exitCodeOf(error);
}
