/**
 * release.ts --url URL [--out DIRECTORY]: builds the last commit and publishes it in a folder, by default dist/release; see
 * docs/release.md. The folder is replaced only when everything in it is signed and verified.
 */
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { dist, root } from '../build/paths.ts';
import { checksumsName, copyEarlier, filesBelow, sha256 } from './earlier.ts';
import { signFile, signingKey, signPackage, type SigningKey, verifyPackages, writePublicKey } from './key.ts';
import { packagesName, publicKeyName, writeRepository } from './repository.ts';
import { archiveSource, buildPackage, unpackSource } from './source.ts';

export interface Release {
  /** The git repository whose last commit is released. */
  repository: string;
  /** The folder that is published. Earlier versions in it stay available. */
  out: string;
  /** The address at which the folder will be available. */
  url: string;
  key: SigningKey;
  /** A folder node_modules whose files are linked; without it, npm installs the packages of package-lock.json. */
  modules?: string;
}

/**
 * Builds a package from the last commit of a repository, and publishes it with the source, the SBOM, the release notes,
 * the repository metadata, the public key and the checksums.
 * @returns the published files, relative to `out`
 * @throws Error if anything is missing, not committed, not signed or already published; `out` is then unchanged
 */
export function release({ repository, out, url, key, modules = '' }: Release): string[] {
  if (!/^(?:https|file):\/\/\S+$/.test(url)) {
    throw new Error(`the address of the repository is '${url}': it must begin with https:// or file://`);
  }
  const work = fs.mkdtempSync(path.join(tmpdir(), 'release-'));
  const next = `${path.resolve(out)}.${process.pid}`;
  try {
    // The folder is replaced as a whole, so it must contain nothing else.
    copyEarlier(out, next, key);
    const { version } = JSON.parse(fs.readFileSync(path.join(repository, 'package.json'), 'utf8')) as {
      version: string;
    };
    const notes = releaseNotes(fs.readFileSync(path.join(repository, 'CHANGELOG.md'), 'utf8'), version);
    const name = `immutafs-agent-${version}`;
    if (fs.existsSync(path.join(out, `${name}.tar.gz`))) {
      throw new Error(`version ${version} is already published in ${out}: raise the version in package.json`);
    }
    const archive = path.join(next, `${name}.tar.gz`);
    archiveSource(repository, { name, archive });
    const source = unpackSource(archive, path.join(work, 'source'), { modules });
    const built = buildPackage(source);
    addPackage(built, next, key);
    fs.copyFileSync(path.join(source.folder, 'dist/sbom.cdx.json'), path.join(next, `${name}.cdx.json`));
    fs.writeFileSync(path.join(next, `${name}.md`), notes);
    writeRepository(next, { url, seconds: source.seconds, key });
    writeChecksums(next, key);
    replace(out, next);
    return filesBelow(out);
  } finally {
    fs.rmSync(work, { recursive: true });
    fs.rmSync(next, { recursive: true, force: true });
  }
}

/**
 * Returns the release notes of a version: the section of CHANGELOG.md with the heading "## VERSION" or
 * "## VERSION (DATE)".
 * @throws Error if the section does not exist or is empty
 */
export function releaseNotes(changelog: string, version: string): string {
  const sections = changelog.split(/^## /m).slice(1);
  const isWanted = (section: string) => /^\S+/.exec(section)?.[0] === version;
  const section = sections.find(isWanted);
  if (section === undefined) {
    throw new Error(`CHANGELOG.md has no section '## ${version}': rename '## Unreleased' to '## ${version}'`);
  }
  const text = section.slice(section.indexOf('\n')).trim();
  if (text === '') throw new Error(`the section '## ${version}' of CHANGELOG.md is empty`);
  return `# immutafs-agent ${version}\n\n${text}\n`;
}

/** Signs a package, adds it to those of the earlier releases, and verifies all of them. */
function addPackage(built: string, next: string, key: SigningKey): void {
  const packages = path.join(next, packagesName);
  const added = path.join(packages, path.basename(built));
  fs.mkdirSync(packages, { recursive: true });
  fs.copyFileSync(built, added);
  signPackage(key, added);
  const publicKey = path.join(next, publicKeyName);
  writePublicKey(key, publicKey);
  verifyPackages(fs.globSync(path.join(packages, '*.rpm')).sort(), publicKey);
}

/** Writes SHA256SUMS, in the format of sha256sum(1), and its signature. */
function writeChecksums(folder: string, key: SigningKey): void {
  const lines = filesBelow(folder).map((file) => `${sha256(path.join(folder, file))}  ${file}\n`);
  const file = path.join(folder, checksumsName);
  fs.writeFileSync(file, lines.join(''));
  signFile(key, file);
}

/** Replaces `out`, if it exists, by `next`. @throws Error if that is impossible; `out` is then unchanged */
export function replace(out: string, next: string): void {
  const old = `${next}.old`;
  const isPresent = fs.existsSync(out);
  if (isPresent) fs.renameSync(out, old);
  try {
    fs.renameSync(next, out);
  } catch (error) {
    if (isPresent) fs.renameSync(old, out);
    throw error;
  }
  fs.rmSync(old, { recursive: true, force: true });
}

function main(): void {
  const { values } = parseArgs({ options: { url: { type: 'string' }, out: { type: 'string' } } });
  if (values.url === undefined)
    throw new Error('give the address of the repository: npm run release -- --url URL');
  const out = path.resolve(values.out ?? path.join(dist, 'release'));
  const key = signingKey(process.env);
  for (const file of release({ repository: root, out, url: values.url, key }))
    process.stdout.write(`${path.join(path.relative(process.cwd(), out), file)}\n`);
}

if (import.meta.main) {
  try {
    main();
  } catch (error) {
    process.stderr.write(`release: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
