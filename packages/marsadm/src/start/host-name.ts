import { isIdentifier, whyNoIdentifier } from '@mars/mars-tree';
import { Dying } from '../exit.js';
import type { Output } from '../output.js';
import { readText, type World } from '../world.js';

/**
 * The name of this host: `MARS_HOST`, else what `/etc/hostname` and `uname -n` agree on.
 * @throws Dying when they do not: with a wrong name marsadm would change the switches of another host. Source: marsadm.md 3, step 2
 */
export function findHostName(world: World, out: Output): string {
  const given = world.env['MARS_HOST'];
  if (given !== undefined && given !== '') return checked(given, 'MARS_HOST');
  const nodeName = world.host.nodeName();
  const fromFile = (readText(world.files, '/etc/hostname') ?? '').trim();
  let name = fromFile !== '' && !fromFile.includes('.') ? fromFile : nodeName;
  if (name !== nodeName) {
    out.warn(`host name '${name}' differs from '${nodeName}', which "uname -n" says`);
    name = name.split('.')[0]!;
    out.warn(`using '${name}'`);
  }
  if (name !== nodeName || nodeName.includes('.')) {
    throw new Dying(`CRITICAL RISK: this host has no unique name: '${name}' or '${nodeName}'?`, [
      'Give it one short name without dots, the same in /etc/hostname and in "uname -n", or set MARS_HOST.',
    ]);
  }
  return checked(name, 'the host name');
}

function checked(name: string, what: string): string {
  if (isIdentifier(name)) return name;
  throw new Dying(`${what} '${name}' cannot be used: ${whyNoIdentifier(name)}`, [
    'Set MARS_HOST to a name of letters, digits, "_" and "-".',
  ]);
}
