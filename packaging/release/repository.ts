import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { signFile, type SigningKey } from './key.ts';
import { runProgram } from './programs.ts';

/** The public key in a release folder. */
export const publicKeyName = 'RPM-GPG-KEY-immutafs';
/**
 * The public key on a guest. dnf --assumeyes imports the key of gpgkey= without a question, so it must not come from the
 * server that delivers the packages.
 */
export const keyFile = `/etc/pki/rpm-gpg/${publicKeyName}`;
/** The folder with the packages and their metadata in a release folder. */
export const packagesName = 'x86_64';

/**
 * Creates the metadata of the packages in `folder`/x86_64, signs it, and writes the configuration of dnf and yum.
 * @param url the address at which `folder` will be available
 * @param seconds the time of the metadata, in seconds since 1970
 */
export function writeRepository(
  folder: string,
  { url, seconds, key }: { url: string; seconds: string; key: SigningKey },
): void {
  const packages = path.join(folder, packagesName);
  runProgram('createrepo_c', [
    ...['--quiet', '--checksum=sha256', '--no-database', '--retain-old-md=0'],
    // yum 3 of RHEL 7 does not read zstd, the default.
    '--general-compress-type=gz',
    ...[`--revision=${seconds}`, '--set-timestamp-to-revision'],
    packages,
  ]);
  signFile(key, path.join(packages, 'repodata/repomd.xml'));
  writeFileSync(path.join(folder, 'immutafs-agent.repo'), configuration(url));
}

/** Returns the configuration file for /etc/yum.repos.d (dnf.conf(5), yum.conf(5)). */
export function configuration(url: string): string {
  const base = url.replace(/\/+$/, '');
  return `[immutafs-agent]
name=immutafs-agent
baseurl=${base}/${packagesName}/
enabled=1
gpgcheck=1
repo_gpgcheck=1
gpgkey=file://${keyFile}
`;
}
