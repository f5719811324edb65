/** Removes secret values from plain data that is shown to people: every occurrence in every text becomes `***`. */
export class Redactor {
  private readonly secrets: readonly string[];

  constructor(secrets: Readonly<Record<string, string>>) {
    // Longest first, so that a secret that contains another one vanishes as a whole.
    this.secrets = [...new Set(Object.values(secrets))]
      .filter((secret) => secret !== '')
      .sort((a, b) => b.length - a.length);
  }

  text(text: string): string {
    return this.secrets.reduce((at, secret) => at.replaceAll(secret, '***'), text);
  }

  data<T>(value: T): T {
    return this.secrets.length === 0 ? value : (this.walk(value) as T);
  }

  private walk(value: unknown): unknown {
    if (typeof value === 'string') return this.text(value);
    if (Array.isArray(value)) return value.map((item) => this.walk(item));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, this.walk(inner)]));
  }
}
