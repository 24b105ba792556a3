import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A throw-away GnuPG folder with one key without a passphrase. */
export class Keyring {
  readonly address: string;
  readonly home: string;

  /** @param algorithm a name that `gpg --quick-generate-key` knows, such as rsa4096 */
  constructor(address: string, algorithm = 'rsa4096', usage = 'sign') {
    this.address = address;
    this.home = mkdtempSync(path.join(tmpdir(), 'gpg-'));
    const options = ['--batch', '--quiet', '--pinentry-mode', 'loopback', '--passphrase', ''];
    this.gpg(...options, '--quick-generate-key', address, algorithm, usage, 'never');
  }

  gpg(...args: string[]): string {
    return execFileSync('gpg', ['--homedir', this.home, ...args], { encoding: 'utf8', stdio: 'pipe' });
  }

  /** The environment of `npm run release`. */
  get env(): Record<string, string> {
    return { SIGNING_KEY: this.address, SIGNING_HOME: this.home };
  }

  /** Ends the agent of this folder, which gpg started, and removes the folder. */
  remove(): void {
    execFileSync('gpgconf', ['--homedir', this.home, '--kill', 'all'], { stdio: 'ignore' });
    rmSync(this.home, { recursive: true, force: true });
  }
}
