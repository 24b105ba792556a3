import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { PackageURL } from 'packageurl-js';
import { linkedLibraries } from '../build/boot-program.ts';
import { addonPackages, bundledPackages, debianPackages } from '../build/licences.ts';
import { inRoot, nodePackage } from '../build/paths.ts';
import { libraries } from '../build/runtime.ts';

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
  /** SHA-512 in hexadecimal of the archive from the npm registry, or of the static library that is linked. */
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
  'libc6-dev': { licence: 'LGPL-2.1-or-later', cpe: 'gnu:glibc' },
  libquickjs: { licence: 'MIT', cpe: 'quickjs_project:quickjs' },
  libcap2: { licence: 'BSD-3-Clause OR GPL-2.0-only', cpe: 'libcap_project:libcap' },
  'liblz4-1': { licence: 'BSD-2-Clause', cpe: 'lz4_project:lz4' },
  liblzma5: { licence: '0BSD', cpe: 'tukaani:xz' },
  libxxhash0: { licence: 'BSD-2-Clause', cpe: 'xxhash:xxhash' },
  libzstd1: { licence: 'BSD-3-Clause OR GPL-2.0-only', cpe: 'facebook:zstandard' },
};

function debianLibraries(): ThirdParty[] {
  return debianPackages().map(({ name, version, source, sourceVersion }) => {
    const { licence, cpe } = debianLicences[name] ?? {};
    if (licence === undefined || cpe === undefined) {
      throw new Error(`the licence of ${name} is missing in packaging/sbom/third-party.ts`);
    }
    // "1:2.75-10+deb13u1" contains the upstream version 2.75: epoch, upstream version, Debian revision.
    const upstream = sourceVersion.replace(/^\d+:/, '').replace(/-[^-]*$/, '');
    const qualifiers = { arch: 'amd64', distro: 'debian-13', upstream: `${source}@${sourceVersion}` };
    const purl = new PackageURL('deb', 'debian', name, version, qualifiers).toString();
    return { name, version, licence, purl, cpe: cpe23(cpe, upstream), ...contentOf(name) };
  });
}

/** What the package contains of a Debian package: libraries of the private runtime, or code in immutafs-boot. */
function contentOf(name: string): Pick<ThirdParty, 'files' | 'archive'> {
  const linked = linkedLibraries[name];
  if (linked === undefined) return { files: libraries[name] ?? [] };
  return { files: [], archive: createHash('sha512').update(readFileSync(linked)).digest('hex') };
}

interface Library {
  /** The project's own name, and the repository of its source at GitHub. */
  name: string;
  repository: string;
  /** SPDX expression, from Node's LICENSE file. */
  licence: string;
  /** Vendor and product in the National Vulnerability Database, if the library has an entry. */
  cpe?: string;
}

/**
 * The libraries in the Node binary, by their names in `process.versions`. Node reports no versions for smaller parts,
 * which its LICENSE file lists.
 */
const known: Readonly<Record<string, Library>> = {
  acorn: { name: 'acorn', repository: 'acornjs/acorn', licence: 'MIT' },
  ada: { name: 'ada', repository: 'ada-url/ada', licence: 'Apache-2.0 OR MIT' },
  amaro: { name: 'amaro', repository: 'nodejs/amaro', licence: 'MIT AND Apache-2.0' },
  ares: { name: 'c-ares', repository: 'c-ares/c-ares', licence: 'MIT', cpe: 'c-ares:c-ares' },
  brotli: { name: 'brotli', repository: 'google/brotli', licence: 'MIT', cpe: 'google:brotli' },
  cldr: { name: 'cldr', repository: 'unicode-org/cldr', licence: 'Unicode-3.0' },
  icu: {
    name: 'icu',
    repository: 'unicode-org/icu',
    licence: 'Unicode-3.0',
    cpe: 'unicode:international_components_for_unicode',
  },
  llhttp: { name: 'llhttp', repository: 'nodejs/llhttp', licence: 'MIT', cpe: 'llhttp:llhttp' },
  merve: { name: 'merve', repository: 'nodejs/merve', licence: 'Apache-2.0 OR MIT' },
  nbytes: { name: 'nbytes', repository: 'nodejs/nbytes', licence: 'MIT' },
  ncrypto: { name: 'ncrypto', repository: 'nodejs/ncrypto', licence: 'MIT' },
  nghttp2: { name: 'nghttp2', repository: 'nghttp2/nghttp2', licence: 'MIT', cpe: 'nghttp2:nghttp2' },
  nghttp3: { name: 'nghttp3', repository: 'ngtcp2/nghttp3', licence: 'MIT' },
  ngtcp2: { name: 'ngtcp2', repository: 'ngtcp2/ngtcp2', licence: 'MIT' },
  openssl: { name: 'openssl', repository: 'openssl/openssl', licence: 'Apache-2.0', cpe: 'openssl:openssl' },
  simdjson: { name: 'simdjson', repository: 'simdjson/simdjson', licence: 'Apache-2.0' },
  simdutf: { name: 'simdutf', repository: 'simdutf/simdutf', licence: 'Apache-2.0 OR MIT' },
  sqlite: { name: 'sqlite', repository: 'sqlite/sqlite', licence: 'blessing', cpe: 'sqlite:sqlite' },
  tz: { name: 'tz', repository: 'eggert/tz', licence: 'LicenseRef-public-domain' },
  undici: { name: 'undici', repository: 'nodejs/undici', licence: 'MIT', cpe: 'nodejs:undici' },
  uv: { name: 'libuv', repository: 'libuv/libuv', licence: 'MIT', cpe: 'libuv:libuv' },
  uvwasi: { name: 'uvwasi', repository: 'nodejs/uvwasi', licence: 'MIT' },
  v8: { name: 'v8', repository: 'v8/v8', licence: 'BSD-3-Clause', cpe: 'google:v8' },
  zlib: { name: 'zlib', repository: 'madler/zlib', licence: 'Zlib', cpe: 'zlib:zlib' },
  zstd: { name: 'zstd', repository: 'facebook/zstd', licence: 'BSD-3-Clause', cpe: 'facebook:zstandard' },
};

/** Entries of `process.versions` that are not software: Node itself, numbers of interfaces, and a standard. */
const notLibraries = ['node', 'modules', 'napi', 'unicode'];

/**
 * Returns the libraries in the Node binary.
 * @param versions `process.versions` of that binary. An empty version means that the binary does not contain the
 *   library.
 * @throws Error for a library that the table above does not have, so that an update of Node cannot add software that
 *   the SBOM lacks
 */
export function nodeLibraries(versions: Readonly<Record<string, string | undefined>>): ThirdParty[] {
  return Object.entries(versions).flatMap(([key, version = '']) => {
    if (version === '' || notLibraries.includes(key)) return [];
    const library = known[key];
    if (library === undefined) {
      throw new Error(`Node contains '${key}' ${version}: add it to packaging/sbom/third-party.ts`);
    }
    const { name, repository, licence, cpe } = library;
    // Node appends the number of its own patches to the version of V8, and the commit to that of zlib.
    const release = version.replace(/-.*$/, '');
    const purl = new PackageURL('github', ...owner(repository), version).toString();
    const found: ThirdParty = { name, version, licence, purl, within: 'node', files: [] };
    return cpe === undefined ? [found] : [{ ...found, cpe: cpe23(cpe, release) }];
  });
}

function owner(repository: string): [string, string] {
  const [namespace = '', name = ''] = repository.split('/');
  return [namespace, name];
}

/** Returns the name of an application in CPE 2.3 (NISTIR 7695): `vendorProduct` is "VENDOR:PRODUCT". */
export function cpe23(vendorProduct: string, version: string): string {
  return `cpe:2.3:a:${vendorProduct}:${version.replace(/[^\w.]/g, '\\$&')}:*:*:*:*:*:*:*`;
}
