#!/usr/bin/env node
import { onSignal } from '@mars/platform/command-line';
import { EXIT_FAILED, EXIT_GOOD } from './exit.js';
import { runMarsadm } from './marsadm.js';
import { realWorld } from './real-world.js';

/** A reader that went away (`marsadm view all | head`) is no error of ours. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? EXIT_GOOD : EXIT_FAILED);
});

process.umask(0o077);
const stop = new AbortController();
const done = onSignal(['SIGINT', 'SIGTERM'], (signal) => stop.abort(`interrupted by ${signal}`));
process.exitCode = await runMarsadm(process.argv.slice(2), realWorld(stop.signal));
done();
