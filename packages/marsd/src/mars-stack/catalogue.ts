import { OP_COUNT, formatDefault, opNames, type BrickType, type ParamSchema } from '@mars/brick-core';
import { allBrickTypes } from '../compose.js';
import { installedPackages } from '../plugins/installed.js';
import { EXIT_GOOD, type ExitCode } from './exit.js';

/** `mars-stack list`: every brick type that can be used here. */
export async function list({ json }: { json: boolean }): Promise<ExitCode> {
  const types = allBrickTypes(await installedPackages()).all();
  if (json) print(JSON.stringify({ ok: true, types: types.map(describe) }));
  else print(table(types.map((type) => [type.meta.type, portsText(type), type.meta.about || `from ${type.source}`])));
  return EXIT_GOOD;
}

/** `mars-stack show TYPE`. @throws MarsError UNKNOWN_BRICK_TYPE */
export async function show({ type, json }: { type: string; json: boolean }): Promise<ExitCode> {
  const found = allBrickTypes(await installedPackages()).get(type);
  print(json ? JSON.stringify({ ok: true, ...describe(found), example: exampleOf(found) }) : page(found));
  return EXIT_GOOD;
}

/** A type as plain data. */
function describe({ meta, source }: BrickType): object {
  const params = Object.entries(meta.params.properties ?? {}).map(
    ([name, schema]) =>
      [
        name,
        { ...schema, isLive: meta.live.includes(name), isRequired: meta.params.required?.includes(name) ?? false },
      ] as const,
  );
  return {
    ...{ type: meta.type, about: meta.about, source, aliases: meta.aliases },
    ...{
      inputs: meta.inputs,
      outputs: meta.outputs,
      ops: meta.ops === -1 ? 'all' : opNames(meta.ops),
      caps: meta.caps,
    },
    params: Object.fromEntries(params),
  };
}

function page(type: BrickType): string {
  const { meta, source } = type;
  const aliases = meta.aliases.length === 0 ? '' : `, also ${meta.aliases.join(', ')}`;
  const sections: [string, string[]][] = [
    ['inputs', Object.entries(meta.inputs).map(([name, port]) => `${name}${portNotes(port)}`)],
    ['outputs', [...meta.outputs]],
    [
      'operations',
      [meta.ops === -1 ? `all (${opNames((1 << OP_COUNT) - 1).join(', ')})` : opNames(meta.ops).join(', ')],
    ],
    ['capabilities', meta.caps.length === 0 ? [] : [meta.caps.join(', ')]],
    ['parameters', paramLines(type)],
    ['try it', exampleOf(type).split('\n')],
  ];
  const body = sections
    .filter(([, lines]) => lines.length > 0)
    .map(([title, lines]) => `\n${title}\n${lines.map((line) => `  ${line}`).join('\n')}`);
  return [`${meta.type}${meta.about ? `: ${meta.about}` : ''}`, `  from ${source}${aliases}`, ...body].join('\n');
}

function portNotes({ optional, group, perm, share, needs, about }: BrickType['meta']['inputs'][string]): string {
  const needed = Object.entries(needs ?? {}).map(
    ([what, value]) => `${what} ${Array.isArray(value) ? value.join(' ') : String(value)}`,
  );
  const notes = [
    optional ? 'optional' : '',
    group === undefined ? '' : `group of ${group}`,
    perm === undefined ? '' : `does ${perm.join(', ')}`,
    share === undefined ? '' : `others may ${share.join(', ') || 'nothing'}`,
    needed.length === 0 ? '' : `needs ${needed.join(', ')}`,
    about ?? '',
  ].filter((note) => note !== '');
  return notes.length === 0 ? '' : `  (${notes.join('; ')})`;
}

function paramLines({ meta }: BrickType): string[] {
  const rows = paramRows(meta.params, '', meta.live);
  return rows.length === 0 ? [] : table(rows).split('\n');
}

/** One row per parameter; the fields of a map follow it. */
function paramRows(of: ParamSchema, prefix: string, live: readonly string[]): string[][] {
  return Object.entries(of.properties ?? {}).flatMap(([name, schema]) => {
    const isRequired = of.required?.includes(name) ?? false;
    const row = [prefix + name, kindOf(schema), defaultText(schema, isRequired), aboutParam(name, schema, live)];
    return [row, ...paramRows(schema, `${prefix}${name}.`, [])];
  });
}

const UNIT_NAMES = { ms: 'duration', bytes: 'size', 'bytes/s': 'rate', percent: 'percent' } as const;

function kindOf(schema: ParamSchema): string {
  if (schema.unit !== undefined) return UNIT_NAMES[schema.unit];
  if (schema.enum !== undefined) return schema.enum.join('|');
  if (schema.format === 'errno') return 'errno';
  if (schema.type === 'array') return `list of ${schema.items === undefined ? 'values' : kindOf(schema.items)}`;
  if (schema.type === 'object') return 'map';
  return schema.type ?? 'value';
}

function defaultText(schema: ParamSchema, isRequired: boolean): string {
  const value = formatDefault(schema);
  return isRequired ? 'required' : value === undefined ? '' : `(${value})`;
}

function aboutParam(name: string, schema: ParamSchema, live: readonly string[]): string {
  const bounds = [
    schema.minimum === undefined ? '' : `from ${schema.minimum}`,
    schema.maximum === undefined ? '' : `to ${schema.maximum}`,
  ]
    .filter(Boolean)
    .join(' ');
  return [schema.about ?? '', bounds, live.includes(name) ? '[live]' : ''].filter((text) => text !== '').join('; ');
}

function portsText({ meta }: BrickType): string {
  const inputs = Object.values(meta.inputs).map((port) => (port.group === undefined ? '1' : `${port.group}`));
  return `${inputs.length === 0 ? '0' : inputs.join('+')}/${meta.outputs.length}`;
}

/** One stack to try: the type with something above and something below it. */
function exampleOf({ meta }: BrickType): string {
  const inputs = Object.keys(meta.inputs);
  const wired =
    inputs.length === 0
      ? ''
      : inputs.length === 1
        ? ', in: disk'
        : `, in: { ${inputs.map((name, nr) => `${name}: disk${nr > 0 ? nr + 1 : ''}`).join(', ')} }`;
  const required = (meta.params.required ?? []).map((name) => `${name}: …`);
  const params = required.length === 0 ? '' : `, params: { ${required.join(', ')} }`;
  const disks = inputs.map((_, nr) => `  disk${nr > 0 ? nr + 1 : ''}: { type: ram, params: { size: 16M } }`);
  const above =
    meta.outputs.length === 0 || meta.type === 'load'
      ? []
      : ['  load: { type: load, in: it, params: { count: 10000 } }'];
  const own = meta.type === 'load' ? ', params: { count: 10000, verify: true }' : params;
  return ['mars: 1', 'stack: try', 'bricks:', ...disks, `  it: { type: ${meta.type}${wired}${own} }`, ...above].join(
    '\n',
  );
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
