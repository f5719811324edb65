import type { SourcePlace } from '@mars/brick-core';

/** The way from the top of a document to a value: `['bricks', 'disk', 'params', 'size']`. */
export type Path = readonly (string | number)[];

/** Where in its file every key and every value of a document stands. */
export class Places {
  private readonly values = new Map<string, SourcePlace>();
  private readonly keys = new Map<string, SourcePlace>();
  private readonly texts = new Map<string, SourcePlace>();

  constructor(readonly start: SourcePlace) {}

  setValue(path: Path, place: SourcePlace): void {
    this.values.set(idOf(path), place);
  }

  setKey(path: Path, place: SourcePlace): void {
    this.keys.set(idOf(path), place);
  }

  /** Place of the first character of a string, when column + n is the place of its character n. */
  setText(path: Path, place: SourcePlace): void {
    this.texts.set(idOf(path), place);
  }

  /** Place of the value, or of the nearest thing around it that has one. */
  value(path: Path): SourcePlace {
    for (let length = path.length; length > 0; length--) {
      const place = this.values.get(idOf(path.slice(0, length)));
      if (place !== undefined) return place;
    }
    return this.start;
  }

  /** Place of the key itself; of the value when it has no key (list elements). */
  key(path: Path): SourcePlace {
    return this.keys.get(idOf(path)) ?? this.value(path);
  }

  /** Place of one character of a string value. */
  inside(path: Path, offset: number): SourcePlace {
    const text = this.texts.get(idOf(path));
    return text === undefined ? this.value(path) : { ...text, column: text.column + offset };
  }
}

function idOf(path: Path): string {
  return JSON.stringify(path);
}
