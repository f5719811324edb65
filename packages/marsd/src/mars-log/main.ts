#!/usr/bin/env node
import { RealFiles } from '@mars/platform/command-line';
import yargs, { type Argv } from 'yargs';
import { hideBin } from 'yargs/helpers';
import { EXIT_GOOD, exitCodeOf, reportError, type ExitCode } from './exit.js';
import { dump, scan, stat, verify, type Tools } from './inspect.js';
import { parseRange } from './range.js';
import { strictly } from '../strict-command-line.js';

/** A reader that went away (`mars-log dump F | head`) is no error of ours. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? EXIT_GOOD : 1);
});

const offset = (describe: string) => ({ type: 'string', requiresArg: true, nargs: 1, describe }) as const;

function oneFile<T>(args: Argv<T>) {
  return args.positional('file', { type: 'string', demandOption: true, describe: 'logfile' });
}

function someFiles<T>(args: Argv<T>) {
  return args
    .positional('files', { type: 'string', array: true, demandOption: true, describe: 'logfiles' })
    .option('json', { type: 'boolean', default: false, describe: 'one JSON object per file' });
}

async function main(argv: string[]): Promise<ExitCode> {
  let code: ExitCode = EXIT_GOOD;
  const tools: Tools = { files: new RealFiles(), out: process.stdout };
  const does =
    <A>(action: (args: A) => Promise<ExitCode>) =>
    async (args: A): Promise<void> => {
      code = await action(args);
    };
  await strictly(yargs(argv), 'mars-log')
    .scriptName('mars-log')
    .usage('$0 COMMAND …\n\nShows, checks and applies transaction logfiles.')
    .command(
      'dump <file>',
      'prints every good record as a line of JSON, and how the log ends',
      (args) =>
        oneFile(args)
          .option('from', offset('offset of the first record (default: 0)'))
          .option('to', offset('offset at which to end (default: the end of the file)'))
          .example('$0 dump log-000000001-hostA | head', 'the first records')
          .example('$0 dump log-000000001-hostA --from 596 --to 4096', 'a part; offsets as printed'),
      does((args) => dump(tools, args.file, parseRange(args))),
    )
    .command(
      'verify <files..>',
      'checks every record; exit code 1 at a defect, with its place, code and meaning',
      (args) => someFiles(args).example('$0 verify /mars/resource-r/log-*', ''),
      does((args) => verify(tools, args.files, args.json)),
    )
    .command(
      'stat <files..>',
      'counts, sizes, time span, and pictures of the writes',
      (args) => someFiles(args).example('$0 stat log-000000001-hostA', ''),
      does((args) => stat(tools, args.files, args.json)),
    )
    .command(
      'scan <files..>',
      'what stands behind a defect; for inspection only, replay never uses it',
      (args) => someFiles(args).example('$0 scan log-000000001-hostA', 'good runs and defects, in file order'),
      does((args) => scan(tools, args.files, args.json)),
    )
    .command(
      'replay <file>',
      'applies a log to a disk, up to its end or the first defect',
      (args) =>
        oneFile(args)
          .option('onto', {
            type: 'string',
            demandOption: true,
            requiresArg: true,
            nargs: 1,
            describe: 'block device, or file with the image of one; IT IS OVERWRITTEN',
          })
          .option('from', offset('offset of the first record (default: 0)'))
          .option('to', offset('offset, or time of the last record: 2016-10-23T10:13:50.5 (UTC), @1477217630'))
          .option('accept-unverified', {
            type: 'boolean',
            default: false,
            describe: 'also apply records without a checksum behind records with one; asks first',
          })
          .option('yes', { type: 'boolean', default: false, describe: 'do not ask' })
          .option('json', { type: 'boolean', default: false, describe: 'the result as a JSON object' })
          .example('$0 replay log-000000001-hostA --onto /dev/vg/copy', '')
          .example('$0 replay log-000000001-hostA --onto img --to "2026-11-20 21:00"', 'the disk as it was then'),
      // Loaded when it is needed: rings and bricks take a while, and the other commands need neither.
      does(async (args) => (await import('./replay.js')).replay(tools, args)),
    )
    .epilogue('Exit codes: 0 good, 1 failed or defective, 2 usage or bad input.')
    .version(false)
    .parseAsync();
  return code;
}

try {
  process.exitCode = await main(hideBin(process.argv));
} catch (error) {
  reportError(error);
  process.exitCode = exitCodeOf(error);
}
