import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { runProgram } from './programs.ts';

/** Minimum size of the key. rpm 4.11 (RHEL 7) verifies only RSA of the algorithms that are still considered secure. */
const minimumBits = 4096;
/** The number of RSA in OpenPGP (RFC 4880, 9.1). */
const rsa = '1';

export interface SigningKey {
  fingerprint: string;
  /** The folder with the keyring; undefined for the default of GnuPG. */
  home: string | undefined;
}

/**
 * Finds the key that signs a release.
 * @param env SIGNING_KEY: the fingerprint, key ID or mail address of the key. SIGNING_HOME: the GnuPG folder with the
 *   secret key, by default that of GnuPG.
 * @throws Error if no key is given, or if the key cannot sign packages for RHEL 7 to 10
 */
export function signingKey(env: Readonly<Record<string, string | undefined>>): SigningKey {
  const { SIGNING_KEY: name = '', SIGNING_HOME: home } = env;
  if (name === '') {
    throw new Error(
      'a release must be signed, and SIGNING_KEY is not set: set it to the fingerprint of an RSA key of at least' +
        ` ${minimumBits} bits, and SIGNING_HOME to the GnuPG directory with the key`,
    );
  }
  const lines = secretKeys(name, home);
  const primary = lines.filter(([type]) => type === 'sec');
  if (primary.length > 1) {
    throw new Error(`SIGNING_KEY '${name}' matches ${primary.length} keys: use the fingerprint`);
  }
  const [, validity = '', bits = '', algorithm, , , , , , , , capabilities = ''] = primary[0] ?? [];
  const refuse = (reason: string) => new Error(`the key '${name}' cannot sign a release: ${reason}`);
  if (/[eri]/.test(validity)) throw refuse('it is expired, revoked or invalid');
  if (algorithm !== rsa) throw refuse('it is not an RSA key, and rpm of RHEL 7 verifies no other');
  if (Number(bits) < minimumBits) throw refuse(`it has ${bits} bits, and ${minimumBits} are required`);
  // rpm 4.11 does not verify signatures of subkeys.
  if (!capabilities.includes('s')) throw refuse('its primary key is not for signing');
  const fingerprint = lines.find(([type]) => type === 'fpr')?.[9];
  if (fingerprint === undefined) throw refuse('GnuPG reports no fingerprint');
  return { fingerprint, home };
}

/** Returns the fields of the lines that GnuPG prints about the secret key `name` (doc/DETAILS in GnuPG's source). */
function secretKeys(name: string, home: string | undefined): string[][] {
  const args = ['--with-colons', '--list-secret-keys', '--', name];
  try {
    const lines = gpg({ home }, ...args).split('\n');
    return lines.map((line) => line.split(':'));
  } catch (error) {
    throw new Error(
      `no secret key '${name}' (SIGNING_KEY) in ${home ?? 'the GnuPG directory'} (SIGNING_HOME)`,
      {
        cause: error,
      },
    );
  }
}

/** Runs gpg with the GnuPG folder of a key, or without `home` with gpg's own. */
function gpg({ home }: { home: string | undefined }, ...args: string[]): string {
  const folder = home === undefined ? [] : ['--homedir', home];
  return runProgram('gpg', [...folder, '--batch', '--no-tty', ...args]);
}

/** Writes the public key to `file`, in the form that rpm imports. */
export function writePublicKey(key: SigningKey, file: string): void {
  writeFileSync(file, gpg(key, '--armor', '--export-options', 'export-minimal', '--export', key.fingerprint));
}

/** Writes a detached signature of `file` to `file`.asc. */
export function signFile(key: SigningKey, file: string): void {
  const digest = ['--digest-algo', 'SHA256'];
  gpg(key, ...digest, '--yes', '--armor', '--local-user', `${key.fingerprint}!`, '--detach-sign', file);
}

/** @throws Error if `file`.asc is not a valid signature of `file` by this key */
export function verifyFile(key: SigningKey, file: string): void {
  let status;
  try {
    status = gpg(key, '--status-fd', '1', '--verify', `${file}.asc`, file);
  } catch (error) {
    throw new Error(`${file}.asc is not a valid signature of ${file}`, { cause: error });
  }
  // gpg also accepts other keys of the folder, and the signature of a key that was revoked (doc/DETAILS).
  const isGood = /^\[GNUPG:\] GOODSIG /m.test(status);
  const [, signer] = /^\[GNUPG:\] VALIDSIG (\S+) /m.exec(status) ?? [];
  if (!isGood || signer !== key.fingerprint)
    throw new Error(`${file} is not signed by the key of this release, ${key.fingerprint}`);
}

/**
 * Signs a package, its header and its payload: rpm 4.11 does not know the digest of the payload in the header.
 */
export function signPackage(key: SigningKey, file: string): void {
  const macros: Record<string, string> = {
    _gpg_name: `${key.fingerprint}!`,
    _gpg_digest_algo: 'sha256',
    ...(key.home === undefined ? {} : { _gpg_path: key.home }),
  };
  const defines = Object.entries(macros).flatMap(([name, value]) => ['--define', `${name} ${value}`]);
  runProgram('rpmsign', ['--addsign', '--rpmv3', ...defines, file]);
}

/**
 * Verifies that every package is signed by the key in `publicKey`, and by no other, with rpm's own verification.
 * @throws Error that names the first package that is not
 */
export function verifyPackages(files: readonly string[], publicKey: string): void {
  const folder = mkdtempSync(path.join(tmpdir(), 'release-rpmdb-'));
  try {
    const database = ['--dbpath', folder];
    runProgram('rpmkeys', [...database, '--import', publicKey]);
    for (const file of files) {
      try {
        // Without this level, rpm accepts a package that has no signature.
        runProgram('rpmkeys', [...database, '--define', '_pkgverify_level all', '--checksig', file]);
      } catch (error) {
        throw new Error(`${path.basename(file)} is not signed by the key of this release`, { cause: error });
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}
