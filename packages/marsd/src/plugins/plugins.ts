import path from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  CORE_API_VERSION,
  ErrorCode,
  MarsError,
  brickMeta,
  coreCopies,
  isMarsError,
  type BrickClass,
  type Files,
} from '@mars/brick-core';
import semver from 'semver';
import type { BrickPackage } from '../compose.js';
import { readAllowList, type AllowedPlugin } from './allow-list.js';
import { shapes } from './shape.js';

/** What became of one package of the plugin directory. */
export interface PluginReport {
  name: string;
  version: string;
  state: 'loaded' | 'not-allowed' | 'refused';
  /** Types that it brought. */
  types: string[];
  /** Why it was not loaded. */
  error?: MarsError;
}

/** What a plugin directory brought. */
export interface LoadedPlugins {
  reports: PluginReport[];
  /** For `composeHost` and `allBrickTypes`. */
  packages: BrickPackage[];
}

interface PackageJson {
  name?: string;
  version?: string;
  keywords?: string[];
  dependencies?: Record<string, string>;
  mars?: unknown;
}

interface Manifest {
  api: number;
  bricks: { type: string; module: string; export: string }[];
}

const KEYWORD = 'mars-brick';

/**
 * Loads the brick packages of a plugin directory: its own `package.json` names them as dependencies, each carries the keyword
 * `mars-brick`, and `allow.yaml` lets them in. Nothing else is looked at. Without a directory there is nothing to do.
 *
 * A package that is not allowed is reported and skipped; one that is allowed but broken is refused, so that a stack that
 * needs it fails with the reason and not with "unknown type".
 * Source: bricks.md 5.9.
 * @throws MarsError PLUGIN_BAD_MANIFEST when the allow list itself cannot be read
 */
export async function loadPlugins(files: Files, directory: string): Promise<LoadedPlugins> {
  const root = readPackage(files, directory);
  const loaded: LoadedPlugins = { reports: [], packages: [] };
  if (root === null) return loaded;
  const allowed = readAllowList(files, path.join(directory, 'allow.yaml'));
  for (const name of Object.keys(root.dependencies ?? {}).sort()) {
    const report = await loadOne(loaded.packages, files, directory, name, allowed);
    if (report !== null) loaded.reports.push(report);
  }
  loaded.reports.push(...missingPackages(allowed, root));
  return loaded;
}

async function loadOne(
  into: BrickPackage[],
  files: Files,
  directory: string,
  name: string,
  allowed: readonly AllowedPlugin[],
): Promise<PluginReport | null> {
  const home = path.join(directory, 'node_modules', name);
  const entry = allowed.find((candidate) => candidate.name === name);
  const json = readPackage(files, home);
  if (json === null) return entry === undefined ? null : refused(name, '?', notInstalled(name, directory));
  const version = json.version ?? '?';
  if (!json.keywords?.includes(KEYWORD)) return entry === undefined ? null : refused(name, version, noKeyword(name));
  if (entry === undefined)
    return { name, version, state: 'not-allowed', types: [], error: notAllowed(name, directory) };
  try {
    checkVersion(entry, version);
    const manifest = manifestOf(json, name);
    into.push({ source: `${name} ${version}`, bricks: await loadClasses(home, name, manifest) });
    return { name, version, state: 'loaded', types: manifest.bricks.map((brick) => brick.type) };
  } catch (error) {
    return refused(name, version, isMarsError(error) ? error : loadFailed(name, error));
  }
}

async function loadClasses(home: string, name: string, manifest: Manifest): Promise<BrickClass[]> {
  if (manifest.api !== CORE_API_VERSION) throw wrongApi(name, manifest.api);
  const classes: BrickClass[] = [];
  for (const brick of manifest.bricks) {
    checkScope(name, brick.type);
    const module = (await import(pathToFileURL(path.join(home, brick.module)).href)) as Record<string, unknown>;
    refuseSecondCore(name);
    classes.push(checkClass(name, brick, module[brick.export]));
  }
  return classes;
}

function checkClass(name: string, brick: Manifest['bricks'][number], cls: unknown): BrickClass {
  const meta = typeof cls === 'function' ? brickMeta(cls) : undefined;
  if (meta === undefined) {
    throw new MarsError(
      ErrorCode.PLUGIN_BAD_MANIFEST,
      `${name}: "${brick.export}" of ${brick.module} is no brick class`,
      {
        hint: 'Its "mars" entry must name a class that is exported and carries @Brick.',
      },
    );
  }
  if (meta.type !== brick.type) {
    throw new MarsError(
      ErrorCode.PLUGIN_BAD_MANIFEST,
      `${name}: the manifest says "${brick.type}", the class says "${meta.type}"`,
      {
        hint: 'Make "type" in its package.json and in @Brick equal.',
      },
    );
  }
  return cls as BrickClass;
}

function checkVersion(entry: AllowedPlugin, version: string): void {
  if (entry.version === undefined || semver.satisfies(version, entry.version)) return;
  throw new MarsError(
    ErrorCode.PLUGIN_NOT_ALLOWED,
    `${entry.name} ${version} is installed, but only ${entry.version} is allowed`,
    {
      hint: 'Install an allowed version, or look at the new one and change allow.yaml.',
    },
  );
}

function checkScope(name: string, type: string): void {
  if (type.includes('/')) return;
  throw new MarsError(ErrorCode.PLUGIN_BAD_MANIFEST, `${name}: brick type "${type}" has no scope`, {
    hint: `Types of other packages carry a scope, so that they can never stand for one of ours: "acme/${type}".`,
  });
}

function refuseSecondCore(name: string): void {
  const copies = coreCopies();
  if (copies.length <= 1) return;
  throw new MarsError(ErrorCode.DUPLICATE_CORE, `${name} brought a second copy of @mars/brick-core`, {
    hint: 'Run "mars-stack plugins init" in the plugin directory, then install the package again; it must have @mars/brick-core as a peer dependency.',
    details: { copies },
  });
}

function manifestOf(json: PackageJson, name: string): Manifest {
  const problem = shapes.manifest(json.mars);
  if (problem === null) return json.mars as Manifest;
  throw new MarsError(
    ErrorCode.PLUGIN_BAD_MANIFEST,
    `${name}: the "mars" entry of its package.json is not valid: ${problem.message}`,
    {
      hint: 'See docs/write-a-brick.md, "The manifest".',
    },
  );
}

function readPackage(files: Files, directory: string): PackageJson | null {
  const file = path.join(directory, 'package.json');
  const bytes = files.readFile(file);
  if (bytes === null) return null;
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as PackageJson;
  } catch (cause) {
    throw new MarsError(ErrorCode.PLUGIN_BAD_MANIFEST, `${file} is no JSON`, {
      cause,
      hint: 'Repair it, or install the package again.',
    });
  }
}

/** Allowed packages that the plugin directory does not even name. */
function missingPackages(allowed: readonly AllowedPlugin[], root: PackageJson): PluginReport[] {
  return allowed
    .filter(({ name }) => root.dependencies?.[name] === undefined)
    .map(({ name }) => refused(name, '?', notInstalled(name, 'the plugin directory')));
}

const refused = (name: string, version: string, error: MarsError): PluginReport => ({
  name,
  version,
  state: 'refused',
  types: [],
  error,
});

const notInstalled = (name: string, where: string): MarsError =>
  new MarsError(ErrorCode.PLUGIN_LOAD_FAILED, `${name} is on the allow list, but not installed in ${where}`, {
    hint: `Install it there ("npm install ${name}"), or take it off the list.`,
  });

const noKeyword = (name: string): MarsError =>
  new MarsError(
    ErrorCode.PLUGIN_BAD_MANIFEST,
    `${name} is on the allow list, but its package.json lacks the keyword "${KEYWORD}"`,
    {
      hint: 'It is no brick package, or it was made wrongly; ask its author.',
    },
  );

const notAllowed = (name: string, directory: string): MarsError =>
  new MarsError(ErrorCode.PLUGIN_NOT_ALLOWED, `${name} is installed, but not on the allow list`, {
    hint: `If you trust it, add it to ${path.join(directory, 'allow.yaml')}: bricks run with all rights of the daemon.`,
  });

const wrongApi = (name: string, api: number): MarsError =>
  new MarsError(ErrorCode.PLUGIN_API_VERSION, `${name} is made for brick API ${api}, this is ${CORE_API_VERSION}`, {
    hint:
      api > CORE_API_VERSION ? 'Upgrade MARS, or install an older version of it.' : 'Install a newer version of it.',
  });

const loadFailed = (name: string, cause: unknown): MarsError =>
  new MarsError(ErrorCode.PLUGIN_LOAD_FAILED, `${name} could not be loaded`, {
    cause,
    hint: 'Install it again; if that does not help, tell its author.',
  });
