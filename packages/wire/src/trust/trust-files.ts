import { ErrorCode, MarsError, isMarsError, type Files } from '@mars/brick-core';

/** The files of `/mars/.trust/`. All 0600; the directory 0700. */
export const TRUST_FILES = ['ca.crt', 'ca.key', 'host.crt', 'host.key', 'host.former', 'token', 'insecure'] as const;
export type TrustFile = (typeof TRUST_FILES)[number];
export type TrustContents = Partial<Record<TrustFile, string>>;

/** A change under way: all new contents in one file, so that a crash leaves either the old state or the new one. */
const CHANGE = 'change';
const INVITES = 'invites';
const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;

export type FilesForTrust = Pick<
  Files,
  'readFile' | 'writeFile' | 'unlink' | 'makeDir' | 'removeDir' | 'lstat' | 'readDir' | 'syncDir'
>;

/** Reads and changes `.trust/` as a whole. */
export class TrustFiles {
  readonly directory: string;

  constructor(
    private readonly files: FilesForTrust,
    marsDir: string,
  ) {
    this.directory = `${marsDir.replace(/\/+$/, '')}/.trust`;
  }

  /** Everything that is there; finishes a change that a crash has interrupted. `null`: no directory. @throws MarsError TRUST_STATE */
  read(): TrustContents | null {
    const stat = this.files.lstat(this.directory);
    if (stat === null) return null;
    if (stat.kind !== 'directory') throw trustError(`${this.directory} is no directory`);
    if ((stat.mode & 0o077) !== 0) throw openToOthers(this.directory);
    this.finishChange();
    const contents: TrustContents = {};
    for (const name of TRUST_FILES) {
      const bytes = this.files.readFile(this.path(name));
      if (bytes !== null) contents[name] = Buffer.from(bytes).toString('utf8');
    }
    return contents;
  }

  /** From now on exactly these files are there, in one step. Invitations stay only with `keepInvites`. */
  replace(contents: TrustContents, { keepInvites = false } = {}): void {
    this.files.makeDir(this.directory, { mode: DIRECTORY_MODE, recursive: true });
    this.files.makeDir(this.path(INVITES), { mode: DIRECTORY_MODE, recursive: true });
    this.write(CHANGE, JSON.stringify({ contents, keepInvites }));
    this.finishChange();
  }

  /** What was written stays after a power cut, names included. */
  async sync(): Promise<void> {
    await this.files.syncDir(this.path(INVITES));
    await this.files.syncDir(this.directory);
    await this.files.syncDir(this.directory.slice(0, -'/.trust'.length) || '/');
  }

  /** One file more, or another content of it. */
  put(name: TrustFile, content: string): void {
    this.write(name, content);
  }

  remove(): void {
    if (this.files.lstat(this.directory) === null) return;
    this.replace({});
    this.removeDirectory(this.directory);
  }

  // ------------------------------------------------------------------------------------------------------------- invitations

  invites(): string[] {
    return (this.files.readDir(this.path(INVITES)) ?? [])
      .map(({ name }) => name)
      .filter((name) => /^[0-9a-f]{32}$/.test(name));
  }

  readInvite(nonceHex: string): string | null {
    const bytes = this.files.readFile(`${this.path(INVITES)}/${nonceHex}`);
    return bytes === null ? null : Buffer.from(bytes).toString('utf8');
  }

  writeInvite(nonceHex: string, content: string): void {
    this.files.makeDir(this.path(INVITES), { mode: DIRECTORY_MODE, recursive: true });
    this.files.writeFile(`${this.path(INVITES)}/${nonceHex}`, content, { mode: FILE_MODE });
  }

  removeInvite(nonceHex: string): void {
    this.unlink(`${this.path(INVITES)}/${nonceHex}`);
  }

  // ------------------------------------------------------------------------------------------------------------------ inside

  private path(name: string): string {
    return `${this.directory}/${name}`;
  }

  private write(name: string, content: string): void {
    this.files.writeFile(this.path(name), content, { mode: FILE_MODE });
  }

  private finishChange(): void {
    const bytes = this.files.readFile(this.path(CHANGE));
    if (bytes === null) return;
    const { contents, keepInvites } = readChange(Buffer.from(bytes).toString('utf8'));
    if (!keepInvites) for (const nonce of this.invites()) this.removeInvite(nonce);
    for (const name of TRUST_FILES) {
      const content = contents[name];
      if (content === undefined) this.unlink(this.path(name));
      else this.write(name, content);
    }
    this.unlink(this.path(CHANGE));
  }

  private unlink(path: string): void {
    if (this.files.lstat(path) !== null) this.files.unlink(path);
  }

  private removeDirectory(path: string): void {
    for (const { name, kind } of this.files.readDir(path) ?? []) {
      if (kind === 'directory') this.removeDirectory(`${path}/${name}`);
      else this.unlink(`${path}/${name}`);
    }
    this.files.removeDir(path);
  }
}

function readChange(text: string): { contents: TrustContents; keepInvites: boolean } {
  try {
    const { contents, keepInvites } = JSON.parse(text) as { contents: TrustContents; keepInvites: boolean };
    return { contents, keepInvites };
  } catch (cause) {
    // writeFile replaces files in one step, so this was somebody else's hand.
    throw trustError('the file "change" is damaged', cause);
  }
}

export function trustError(what: string, cause?: unknown): MarsError {
  if (isMarsError(cause)) return cause;
  return new MarsError(ErrorCode.TRUST_STATE, `the trust of this host is not in order: ${what}`, {
    cause,
    hint: 'Join this host again with a token of another member; see docs/trust.md, "Recover".',
  });
}

function openToOthers(directory: string): MarsError {
  return new MarsError(ErrorCode.TRUST_STATE, `others than the owner have rights on ${directory}`, {
    hint: `It holds private keys: "chmod 700 ${directory}". If somebody may have read it, see docs/trust.md, "Recover".`,
  });
}
