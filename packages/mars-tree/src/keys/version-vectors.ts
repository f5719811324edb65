/** One link of a chain: what goes in, and the value that must come out. */
export interface VersionVector {
  sequence: number;
  creator: string;
  lengthBytes: number;
  /** Full value of the own link of the number before; `''` = none. */
  predecessor: string;
  value: string;
}

const ONE = 'be01168da29be039c04594d4816e93fd,log-000000001-nodea,5000:';
const TWO =
  'be8f9347520e9953607b3dec123f3189,log-000000002-nodea,8192:be01168da29be039c04594d4816e93fd,log-000000001-nodea,5000';

/** Source: symlink-tree.md 5.3. */
export const VERSION_VECTORS: readonly VersionVector[] = [
  { sequence: 1, creator: 'nodea', lengthBytes: 5000, predecessor: '', value: ONE },
  {
    sequence: 2,
    creator: 'nodea',
    lengthBytes: 0,
    predecessor: ONE,
    value:
      'a240134cc9fc68af8da051cceaff0fd6,log-000000002-nodea,0:be01168da29be039c04594d4816e93fd,log-000000001-nodea,5000',
  },
  { sequence: 2, creator: 'nodea', lengthBytes: 8192, predecessor: ONE, value: TWO },
  {
    sequence: 3,
    creator: 'nodeb',
    lengthBytes: 0,
    predecessor: TWO,
    value:
      '553bafceb900f5f590d07bf998c78966,log-000000003-nodeb,0:be8f9347520e9953607b3dec123f3189,log-000000002-nodea,8192',
  },
  {
    sequence: 100002,
    creator: 'nodea',
    lengthBytes: 4096,
    predecessor: '00000000000000000000000000000000,log-000100001-nodea,0:',
    value:
      '181b3bab53272432b5b04b41b69b6ab1,log-000100002-nodea,4096:00000000000000000000000000000000,log-000100001-nodea,0',
  },
];

const HEAD = '| n | C | L | P | value |';

/** A table of the reference. */
export function versionVectorRows(vectors: readonly VersionVector[]): string[] {
  return [
    HEAD,
    '|---|---|---|---|---|',
    ...vectors.map(
      (v) => `| ${v.sequence} | ${v.creator} | ${v.lengthBytes} | \`${v.predecessor}\` | \`${v.value}\` |`,
    ),
  ];
}

/** Reads the table back from the reference, for tests. */
export function readVersionVectors(markdown: string): VersionVector[] {
  const rows = markdown.split(HEAD)[1]?.split('\n\n')[0]?.split('\n').slice(2) ?? [];
  return rows.map((row) => {
    const cells = row.split('|').map((cell) => cell.trim().replaceAll('`', ''));
    return {
      sequence: Number(cells[1]),
      creator: cells[2]!,
      lengthBytes: Number(cells[3]),
      predecessor: cells[4]!,
      value: cells[5]!,
    };
  });
}
