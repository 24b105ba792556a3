import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { scratch } from '../../../packaging/build/paths.ts';
import { keyFile } from '../../../packaging/release/repository.ts';
import { ScratchRoot } from '../scratch-root.ts';
import { run, type Outcome } from '../support.ts';

/** The packages that immutafs-agent requires, which no repository for Debian has as RPM. */
const required = [
  ...['/bin/sh', 'coreutils', 'dracut', 'e2fsprogs', 'findutils', 'grep', 'kmod', 'parted', 'rsync'],
  ...['shadow-utils', 'systemd', 'util-linux', 'xfsprogs'],
];

/** A root into which dnf installs packages with all signature checks. The key is not trusted before. */
export class DnfRoot {
  readonly root = new ScratchRoot();
  readonly #work: string;

  constructor() {
    this.#work = mkdtempSync(path.join(scratch, 'dnf-'));
    mkdirSync(this.#path('repos'));
    writeFileSync(this.#path('.rpmmacros'), '%__transaction_unshare %{nil}\n');
    writeFileSync(
      this.#path('dnf.conf'),
      `[main]
gpgcheck=1
localpkg_gpgcheck=1
plugins=0
install_weak_deps=0
reposdir=${this.#path('repos')}
cachedir=${this.#path('cache')}
persistdir=${this.#path('persist')}
logdir=${this.#path('log')}
varsdir=${this.#path('vars')}
`,
    );
    base ??= makeBase();
    writeFileSync(
      this.#path('repos/base.repo'),
      `[base]\nname=base\nbaseurl=file://${base}\nenabled=1\ngpgcheck=0\nrepo_gpgcheck=0\n`,
    );
  }

  /**
   * Adds a repository by its configuration file, as SECURITY.md describes it.
   * @param key the public key that the administrator has compared
   */
  addRepository(file: string, key: string): void {
    // rpm and dnf look for the key outside of the root.
    const installed = this.root.path(keyFile);
    mkdirSync(path.dirname(installed), { recursive: true });
    copyFileSync(key, installed);
    const { code, stderr } = this.root.rpm(['--import', installed]);
    if (code !== 0) throw new Error(`rpm --import: ${stderr}`);
    const text = readFileSync(file, 'utf8').replace(`file://${keyFile}`, `file://${installed}`);
    writeFileSync(this.#path('repos/immutafs-agent.repo'), text);
    rmSync(this.#path('cache'), { recursive: true, force: true });
  }

  dnf(...args: string[]): Outcome {
    const options = ['--config', this.#path('dnf.conf'), '--installroot', this.root.folder];
    return run('dnf', [...options, '--releasever=9', '--assumeyes', ...args], { HOME: this.#work });
  }

  /** Returns the installed version of the agent; empty if it is not installed. */
  version(): string {
    const { stdout, code } = this.root.rpm(['-q', '--qf', '%{VERSION}', 'immutafs-agent']);
    return code === 0 ? stdout : '';
  }

  remove(): void {
    this.root.remove('');
    rmSync(this.#work, { recursive: true });
  }

  #path(inside: string): string {
    return path.join(this.#work, inside);
  }
}

let base: string | undefined;

/** Makes a repository, trusted without a signature, whose only package stands in for the required packages. */
function makeBase(): string {
  const folder = mkdtempSync(path.join(scratch, 'base-'));
  process.once('exit', () => rmSync(folder, { recursive: true }));
  const spec = path.join(folder, 'base.spec');
  const provides = required.map((name) => `Provides: ${name}\n`).join('');
  writeFileSync(
    spec,
    `Name: base\nVersion: 1\nRelease: 1\nSummary: -\nLicense: -\nBuildArch: noarch\n${provides}%description\n%files\n`,
  );
  for (const [command = '', ...args] of [
    ['rpmbuild', '-bb', '--define', `_topdir ${folder}/rpmbuild`, '--define', `_rpmdir ${folder}`, spec],
    ['createrepo_c', '--quiet', folder],
  ]) {
    const { code, stderr } = run(command, args);
    if (code !== 0) throw new Error(`${command}: ${stderr}`);
  }
  return folder;
}
