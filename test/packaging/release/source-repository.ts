import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../../../packaging/build/paths.ts';

/** A git repository with the project's files as they are now, so that tests can release changes before a commit. */
export class SourceRepository {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true });
    const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
      cwd: root,
      encoding: 'utf8',
    });
    for (const file of new Set(listed.split('\0').filter((name) => name !== '')))
      cpSync(path.join(root, file), path.join(folder, file));
    this.#git('init', '--quiet');
    this.commit('Import');
  }

  /** Sets the version, adds a section to CHANGELOG.md if it has none for this version, and commits. */
  commitVersion(version: string): void {
    this.#edit('package.json', (text) => text.replace(/"version": "[^"]*"/, `"version": "${version}"`));
    this.#edit('CHANGELOG.md', (text) =>
      text.includes(`\n## ${version}`)
        ? text
        : text.replace('# Changelog\n', `# Changelog\n\n## ${version}\n\n- A change.\n`),
    );
    this.commit(`Release ${version}`);
  }

  commit(message: string): void {
    this.#git('add', '--all');
    const identity = ['-c', 'user.name=Test', '-c', 'user.email=test@example.org'];
    this.#git(...identity, 'commit', '--quiet', '--allow-empty', '--no-gpg-sign', '--message', message);
  }

  #edit(file: string, change: (text: string) => string): void {
    const absolute = path.join(this.folder, file);
    writeFileSync(absolute, change(readFileSync(absolute, 'utf8')));
  }

  #git(...args: string[]): void {
    execFileSync('git', args, { cwd: this.folder, stdio: ['ignore', 'ignore', 'inherit'] });
  }
}
