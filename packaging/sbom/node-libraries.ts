import { PackageURL } from 'packageurl-js';
import type { ThirdParty } from './third-party.ts';

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
      throw new Error(`Node contains '${key}' ${version}: add it to packaging/sbom/node-libraries.ts`);
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
