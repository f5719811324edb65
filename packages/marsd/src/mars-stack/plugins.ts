import { formatError } from '@mars/brick-core';
import { RealFiles } from '@mars/platform/files';
import { initPluginDirectory } from '../plugins/init.js';
import { inspectPlugins, pluginDirectory } from '../plugins/installed.js';
import { EXIT_FAILED, EXIT_GOOD, type ExitCode } from './exit.js';

/** `mars-stack plugins list`: what is installed, loaded, not allowed or refused, and why. */
export async function listPlugins({ json }: { json: boolean }): Promise<ExitCode> {
  const { reports } = await inspectPlugins();
  const isRefused = reports.some((report) => report.state === 'refused');
  if (json) console.log(JSON.stringify(reports));
  else if (reports.length === 0) console.log(`No brick packages in ${pluginDirectory()}.`);
  else {
    for (const { name, version, state, types, error } of reports) {
      console.log(`${name} ${version}: ${state}${types.length === 0 ? '' : ` (${types.join(', ')})`}`);
      if (error) console.log(formatError(error).replace(/^/gm, '  '));
    }
  }
  return isRefused && !json ? EXIT_FAILED : EXIT_GOOD;
}

/** `mars-stack plugins init`: makes the plugin directory. */
export function initPlugins({ json }: { json: boolean }): ExitCode {
  const made = initPluginDirectory(new RealFiles(), pluginDirectory());
  if (json) console.log(JSON.stringify({ ok: true, made }));
  else
    console.log(
      made.length === 0 ? `${pluginDirectory()} is there already; nothing was changed.` : `Made ${made.join(', ')}`,
    );
  return EXIT_GOOD;
}
