import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { PackageURL } from 'packageurl-js';
import { addonPackages, bundledPackages, debianPackages } from '../build/licences.ts';
import { inRoot, nodePackage } from '../build/paths.ts';
import { libraries } from '../build/runtime.ts';
import { cpe23, nodeLibraries } from './node-libraries.ts';

/** Software of other projects that the package contains. */
export interface ThirdParty {
  name: string;
  version: string;
  /** SPDX licence expression. */
  licence: string;
  /** Package URL. */
  purl: string;
  /** CPE 2.3 name, if the National Vulnerability Database has the software. */
  cpe?: string;
  /** SHA-512 in hexadecimal of the archive from the npm registry. */
  archive?: string;
  /** The name of the component that contains this one. */
  within?: string;
  /** Names of files in the private runtime that belong to this component. */
  files: readonly string[];
}

/**
 * Lists the third-party software in the package: npm packages, Node, the libraries in Node, and the Debian libraries of
 * the private runtime.
 * @param inputs the files of the bundle, as esbuild names them
 * @throws Error for software whose licence, archive or version is not known
 */
export function thirdParty(inputs: readonly string[]): ThirdParty[] {
  const packages = [...new Set([...bundledPackages(inputs), ...addonPackages])].sort();
  const node = path.join(nodePackage, 'bin/node');
  const versions = execFileSync(node, ['-p', 'JSON.stringify(process.versions)'], { encoding: 'utf8' });
  return [
    ...npmPackages(packages),
    nodeItself(),
    ...nodeLibraries(JSON.parse(versions) as Record<string, string>),
    ...debianLibraries(),
  ];
}

interface LockedPackage {
  version: string;
  integrity?: string;
  license?: string;
}

function npmPackages(folders: readonly string[]): ThirdParty[] {
  const locked = lockedPackages();
  const found = folders.map((folder): ThirdParty => {
    const key = folder.slice(folder.indexOf('node_modules/'));
    const name = key.slice(key.lastIndexOf('node_modules/') + 'node_modules/'.length);
    const { version, licence, archive } = describe(key, locked[key]);
    const files = name === 'systemd-journald' ? ['journal_send.node'] : [];
    return { name, version, licence, purl: npmUrl(name, version), archive, files };
  });
  // Two folders can hold the same version of a package.
  return [...new Map(found.map((item) => [item.purl, item])).values()];
}

function lockedPackages(): Record<string, LockedPackage | undefined> {
  const lock = JSON.parse(readFileSync(inRoot('package-lock.json'), 'utf8')) as {
    packages: Record<string, LockedPackage>;
  };
  return lock.packages;
}

function describe(key: string, locked: LockedPackage | undefined) {
  const { version = '', license, integrity = '' } = locked ?? {};
  const [, base64] = /^sha512-(\S+)$/.exec(integrity) ?? [];
  if (base64 === undefined) throw new Error(`package-lock.json has no SHA-512 of ${key}`);
  if (license === undefined) throw new Error(`package-lock.json has no licence of ${key}`);
  return { version, licence: license, archive: Buffer.from(base64, 'base64').toString('hex') };
}

function npmUrl(fullName: string, version: string): string {
  const [name = '', scope] = fullName.split('/').reverse();
  return new PackageURL('npm', scope, name, version).toString();
}

/** Returns Node, which comes from an npm package with Node's official binary. */
function nodeItself(): ThirdParty {
  const key = path.relative(inRoot(''), nodePackage);
  const { version, archive } = describe(key, lockedPackages()[key]);
  const purl = npmUrl(path.basename(nodePackage), version);
  const cpe = cpe23('nodejs:node.js', version);
  return { name: 'node', version, licence: 'MIT', purl, cpe, archive, files: [] };
}

/** Licences of the libraries, from Debian's copyright files, which describe whole source packages. */
const debianLicences: Readonly<Record<string, { licence: string; cpe: string }>> = {
  libc6: { licence: 'LGPL-2.1-or-later', cpe: 'gnu:glibc' },
  'libstdc++6': { licence: 'GPL-3.0-or-later WITH GCC-exception-3.1', cpe: 'gnu:gcc' },
  'libgcc-s1': { licence: 'GPL-3.0-or-later WITH GCC-exception-3.1', cpe: 'gnu:gcc' },
  libsystemd0: { licence: 'LGPL-2.1-or-later', cpe: 'systemd_project:systemd' },
  libcap2: { licence: 'BSD-3-Clause OR GPL-2.0-only', cpe: 'libcap_project:libcap' },
  'liblz4-1': { licence: 'BSD-2-Clause', cpe: 'lz4_project:lz4' },
  liblzma5: { licence: '0BSD', cpe: 'tukaani:xz' },
  libxxhash0: { licence: 'BSD-2-Clause', cpe: 'xxhash:xxhash' },
  libzstd1: { licence: 'BSD-3-Clause OR GPL-2.0-only', cpe: 'facebook:zstandard' },
};

function debianLibraries(): ThirdParty[] {
  return debianPackages().map(({ name, version, source, sourceVersion }) => {
    const { licence, cpe } = debianLicences[name] ?? {};
    const files = libraries[name];
    if (licence === undefined || cpe === undefined || files === undefined) {
      throw new Error(`the licence of ${name} is missing in packaging/sbom/third-party.ts`);
    }
    // "1:2.75-10+deb13u1" contains the upstream version 2.75: epoch, upstream version, Debian revision.
    const upstream = sourceVersion.replace(/^\d+:/, '').replace(/-[^-]*$/, '');
    const qualifiers = { arch: 'amd64', distro: 'debian-13', upstream: `${source}@${sourceVersion}` };
    const purl = new PackageURL('deb', 'debian', name, version, qualifiers).toString();
    return { name, version, licence, purl, cpe: cpe23(cpe, upstream), files };
  });
}
