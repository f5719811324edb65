import type { Logger } from '@mars/brick-core';
import type { LamportClock } from '@mars/mars-tree';
import { ControlFiles, type ControlFile } from '@mars/platform';
import type { HostTunables } from './host-tunables.js';
import { BUILD, VERSION } from './version.js';

export interface ControlSources {
  clock: LamportClock;
  tunables: HostTunables;
  log: Logger;
  /** One line per brick, then the summary. */
  info(): string;
  peers(): string;
  trigger(text: string): void;
}

/** The files below `$MARS_RUN/sys` that every daemon has. Source: symlink-tree.md 2.13 and 8 */
export function controlDirectory({ clock, tunables, log, info, peers, trigger }: ControlSources): ControlFiles {
  const files = new ControlFiles();
  const add = (name: string, file: ControlFile): void => void files.add(name, logged(name, file, log));
  add('lamport_clock', { mode: 0o400, isVolatile: true, read: () => clock.controlText() });
  add('version', { mode: 0o400, read: () => `${BUILD.tag} (${BUILD.date}) marsd ${VERSION}\n` });
  add('info', { mode: 0o400, read: info });
  add('peers', { mode: 0o400, read: peers });
  add('trigger', { mode: 0o200, write: trigger });
  for (const tunable of tunables.all) add(tunable.name, tunable);
  return files;
}

/** Who writes hears only an errno, so the log has the reason. */
function logged(name: string, file: ControlFile, log: Logger): ControlFile {
  if (file.write === undefined) return file;
  return {
    mode: file.mode,
    ...(file.read === undefined ? {} : { read: () => file.read!() }),
    async write(text, signal) {
      try {
        await file.write!(text, signal);
      } catch (err) {
        log.warn({ err, file: name, text: text.slice(0, 200) }, 'a control file refused what was written to it');
        throw err;
      }
    },
  };
}
