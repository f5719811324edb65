import { ErrorCode, type SourcePlace } from '@mars/brick-core';
import {
  LineCounter,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  parseAllDocuments,
  type Document,
  type Node,
  type Scalar,
} from 'yaml';
import { MAX_STACK_FILE_BYTES } from '../limits.js';
import type { Problems } from '../problems.js';
import { Places, type Path } from './places.js';

/** A file as the caller read it; this package never opens one. */
export interface StackSource {
  /** Name for error texts. */
  file: string;
  text: string;
}

/** One YAML document: plain data, and where each part of it stands. */
export interface SourceDocument {
  file: string;
  value: unknown;
  places: Places;
}

/**
 * Parses all documents of a file (separated by `---`); empty ones are skipped. What is wrong goes to `problems`, and a
 * document that YAML itself cannot read is left out.
 */
export function parseDocuments({ file, text }: StackSource, problems: Problems): SourceDocument[] {
  if (text.length > MAX_STACK_FILE_BYTES) {
    problems.add(ErrorCode.BAD_STACK_FILE, `${file} is longer than ${MAX_STACK_FILE_BYTES} bytes`, {
      hint: 'That is no stack file.',
    });
    return [];
  }
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, {
    lineCounter: lines,
    uniqueKeys: false,
    prettyErrors: false,
    version: '1.2',
  });
  const docs = Array.isArray(parsed) ? parsed : [];
  const found = docs.flatMap((doc) => new DocumentReader(doc, file, lines, problems).read());
  if (found.length === 0 && !problems.any) {
    problems.add(ErrorCode.BAD_STACK_FILE, `${file} is empty`, {
      hint: 'A stack file begins with "mars: 1"; see docs/stacks.md.',
      place: { file, line: 1, column: 1 },
    });
  }
  return found;
}

class DocumentReader {
  private readonly places: Places;

  constructor(
    private readonly doc: Document.Parsed,
    private readonly file: string,
    private readonly lines: LineCounter,
    private readonly problems: Problems,
  ) {
    this.places = new Places(this.placeAt(doc.contents?.range?.[0] ?? doc.range[0]));
  }

  read(): SourceDocument[] {
    const { doc, file, places } = this;
    for (const error of doc.errors) {
      this.problems.add(ErrorCode.BAD_STACK_FILE, `this is not YAML: ${error.message}`, {
        hint: 'Look at quotes, brackets and indentation here and in the line above.',
        place: this.placeAt(error.pos[0]),
      });
    }
    if (doc.errors.length > 0 || doc.contents === null) return [];
    return [{ file, value: this.valueOf(doc.contents, []), places }];
  }

  private valueOf(node: Node | null, path: Path): unknown {
    if (node === null) return null;
    const start = node.range?.[0];
    if (start !== undefined) this.places.setValue(path, this.placeAt(start));
    // What an alias stands for was written elsewhere; errors in it point to where it is used.
    if (isAlias(node)) return this.aliasValue(node, path);
    if (isMap(node)) return this.mapValue(node.items as { key: unknown; value: Node | null }[], path);
    if (isSeq(node)) return node.items.map((item, nr) => this.valueOf(item as Node | null, [...path, nr]));
    if (isScalar(node)) return this.scalarValue(node, path);
    return null;
  }

  private mapValue(pairs: readonly { key: unknown; value: Node | null }[], path: Path): Record<string, unknown> {
    const entries = new Map<string, unknown>();
    for (const { key, value } of pairs) {
      const name = isScalar(key) ? String(key.value) : '';
      const place = this.placeAt((key as Node | null)?.range?.[0] ?? 0);
      if (!isScalar(key) || name === '__proto__')
        this.problems.add(ErrorCode.BAD_STACK_FILE, 'a key must be a simple word', { place });
      else if (entries.has(name)) this.addDuplicate([...path, name], place);
      else {
        this.places.setKey([...path, name], place);
        entries.set(name, this.valueOf(value, [...path, name]));
      }
    }
    return Object.fromEntries(entries);
  }

  private scalarValue(node: Scalar, path: Path): unknown {
    const start = node.range?.[0];
    const isQuoted = node.type === 'QUOTE_DOUBLE' || node.type === 'QUOTE_SINGLE';
    if (start !== undefined && (isQuoted || node.type === 'PLAIN'))
      this.places.setText(path, this.placeAt(start + Number(isQuoted)));
    return node.value;
  }

  private aliasValue(node: Node, path: Path): unknown {
    try {
      return node.toJS(this.doc);
    } catch {
      this.problems.add(ErrorCode.BAD_STACK_FILE, 'this alias stands for nothing', { place: this.places.value(path) });
      return null;
    }
  }

  private addDuplicate(path: Path, place: SourcePlace): void {
    const name = String(path.at(-1));
    const isInput = path.length === 4 && path[0] === 'bricks' && path[2] === 'in';
    const text = isInput
      ? `input "${name}" of "${String(path[1])}" has two providers`
      : path.length === 2 && path[0] === 'bricks'
        ? `there are two bricks called "${name}"`
        : `"${name}" is there twice`;
    this.problems.add(isInput ? ErrorCode.BAD_WIRE : ErrorCode.BAD_STACK_FILE, text, {
      hint: `The first one is in line ${this.places.key(path).line}; ${isInput ? 'an input has one provider' : 'rename or remove one of them'}.`,
      place,
    });
  }

  private placeAt(offset: number): SourcePlace {
    const { line, col } = this.lines.linePos(offset);
    return { file: this.file, line: Math.max(line, 1), column: Math.max(col, 1) };
  }
}
