import { seedApplied, seedPlainFiles, sumLine } from '../../agent/facts/boot/seed-files.ts';
import { onFile } from '../../agent/lib/errors.ts';
import { baseName, parentOf } from '../../agent/lib/paths.ts';
import type { Guest } from '../guest/guest.ts';
import { restoreLabels } from '../guest/selinux.ts';
import { makeDirectories, reopen, using } from '../native/directories.ts';
import { refuse } from '../native/refusal.ts';
import { type Copied, copySeedFile, openInSeed } from './copy.ts';

/**
 * A seed in a guest without cloud-init: plain files that the host wrote to the directory immutafs of the seed, because nothing else
 * in the guest parses YAML: host name, SSH host keys, and files of NetworkManager, network-scripts and systemd-networkd.
 */
const folder = 'immutafs';

interface Target {
  file: string;
  mode: number;
}

/** Returns where a file of the seed belongs; undefined for a name that a seed cannot have. */
export function targetOf(name: string): Target | undefined {
  if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(name)) return undefined;
  const rules: readonly (readonly [RegExp, string, number])[] = [
    [/^hostname$/, '/etc', 0o644],
    [/^ssh_host_.*_key$/, '/etc/ssh', 0o600],
    [/^ssh_host_.*_key(?:-cert)?\.pub$/, '/etc/ssh', 0o644],
    [/\.nmconnection$/, '/etc/NetworkManager/system-connections', 0o600],
    [/^(?:ifcfg|route6?|rule6?)-/, '/etc/sysconfig/network-scripts', 0o644],
    [/\.(?:network|netdev|link)$/, '/etc/systemd/network', 0o644],
  ];
  const [, directory, mode] = rules.find(([pattern]) => pattern.test(name)) ?? [];
  return directory === undefined || mode === undefined ? undefined : { file: `${directory}/${name}`, mode };
}

/** Copies the files of a mounted seed. @param device its kernel name @throws Refused */
export function copyPlainFiles(guest: Guest, device: string, seed: number): Copied[] {
  const { native } = guest;
  makeDirectories(native, seedPlainFiles, 0o700);
  const source = openInSeed(native, seed, folder);
  const names = source === undefined ? [] : native.listAt(source).filter((name) => !name.startsWith('.'));
  const copied = names.toSorted().map((name) => {
    if (source === undefined || targetOf(name) === undefined)
      return refuse(
        `${folder}/${name.replace(/[^!-~]/g, '?')} on ${device} is not a file that a seed can have`,
        '',
      );
    return copySeedFile(native, source, name, seedPlainFiles, `${folder}/${name}`);
  });
  if (source !== undefined) native.close(source);
  if (!names.includes('hostname'))
    refuse(`cloud-init is not installed, and ${device} has no file ${folder}/hostname`, '');
  return copied;
}

/**
 * Writes the files to /etc, and lists their checksums for the check seed-genuine. The keys of the image are removed, so that the
 * guest has no other ones.
 * @param begin is called before the first write to /etc
 * @throws Refused
 */
export function applyPlainFiles(guest: Guest, copied: readonly Copied[], begin: () => void): void {
  const { native } = guest;
  const host = hostName(guest);
  begin();
  makeDirectories(native, '/etc/ssh');
  using(native, reopen(native, '/etc/ssh'), (directory) => {
    for (const name of native.listAt(directory))
      if (name.startsWith('ssh_host_')) onFile(`/etc/ssh/${name}`, () => native.removeAt(directory, name));
  });
  const targets = copied.map(({ name, sha256 }) => {
    const { file, mode } = targetOf(name) ?? refuse(`${name} is not a file that a seed can have`, '');
    writeTarget(guest, name, file, mode);
    return { file, sha256 };
  });
  restoreLabels(
    guest,
    targets.map(({ file }) => file),
  );
  onFile(seedApplied, () =>
    native.write(seedApplied, targets.map(({ file, sha256 }) => sumLine(sha256, file)).join('')),
  );
  onFile('the host name cannot be set', () => native.write('/proc/sys/kernel/hostname', `${host}\n`));
}

function hostName({ native }: Guest): string {
  const text = using(native, reopen(native, seedPlainFiles), (directory) =>
    native.readAt(directory, 'hostname', 1024 * 1024),
  );
  const [name = ''] = text.split('\n');
  if (!/^[A-Za-z0-9][A-Za-z0-9.-]*$/.test(name))
    refuse(`${folder}/hostname does not begin with a host name`, '');
  if (name.length > 64) refuse(`${folder}/hostname is longer than 64 characters`, '');
  return name;
}

/** As a new file, so that a symbolic link of the image is replaced. */
function writeTarget({ native }: Guest, name: string, file: string, mode: number): void {
  makeDirectories(native, parentOf(file));
  using(native, reopen(native, seedPlainFiles), (from) =>
    using(native, reopen(native, parentOf(file)), (to) =>
      onFile(file, () => native.copyFile(from, name, to, baseName(file), mode, 1024 * 1024)),
    ),
  );
}
