import type { SystemReader } from '../../system/reader.ts';

/** The package managers, the preferred one first: on RHEL 8 and later, yum is a link to dnf. */
const managers = ['dnf', 'yum', 'apt-get'] as const;

/** Returns what an administrator does to install a package, as a part of a sentence: "run `yum install parted`". */
export function installHint(reader: SystemReader, name: string): string {
  const manager = managers.find((each) => reader.stat(`/usr/bin/${each}`) !== undefined);
  return manager === undefined ? `install the package ${name}` : `run \`${manager} install ${name}\``;
}
