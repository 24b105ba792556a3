import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { dist, inRoot, nodePackage, scratch } from './paths.ts';
import { libraries } from './runtime.ts';
import { linkedLibraries } from './boot-program.ts';
import { digest, once, recipe } from './stamp.ts';

const delivered = path.join(dist, 'licences');
const licenceFile = /^(licen[cs]e|copying|notice)([-.].*)?$/i;
const commonLicence = /\/usr\/share\/common-licenses\/[A-Za-z0-9+-]+(?:\.[0-9]+)*/g;

/**
 * Collects in dist/licences the licences of all third-party software in the package, and a list of it.
 * @param inputs the files of the bundle, as esbuild names them
 * @throws Error for an npm package without a licence file
 */
export async function buildLicences(inputs: readonly string[]): Promise<void> {
  const packages = [...new Set([...bundledPackages(inputs), ...addonPackages])].sort();
  const texts = [...packages, JSON.stringify(debianPackages())];
  const files = [inRoot('package-lock.json'), ...recipe('licences.ts')];
  const outputs = [path.join(delivered, 'README')];
  await once({ name: 'licences', key: digest({ texts, files }), outputs, make: () => collect(packages) });
}

function collect(packages: readonly string[]): void {
  const folder = path.join(scratch, `licences-${process.pid}`);
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  try {
    const list = [...npmLicences(packages, folder), nodeLicence(folder), ...debianLicences(folder)];
    fs.writeFileSync(path.join(folder, 'README'), `${heading}${list.map((line) => `${line}\n`).join('')}`);
    fs.rmSync(delivered, { recursive: true, force: true });
    fs.mkdirSync(dist, { recursive: true });
    fs.renameSync(folder, delivered);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Packages that are compiled into journal_send.node. Their licences are needed even if no JavaScript of them is in the
 * bundle.
 */
export const addonPackages = ['node_modules/nan', 'node_modules/systemd-journald'];

const heading = `Third-party software in immutafs-agent. The licence of each is in this directory.
The sources are those of exactly these versions, from the npm registry, nodejs.org and Debian.

`;

/** Returns the directories of the npm packages, including nested packages, that own files of the bundle. */
export function bundledPackages(inputs: readonly string[]): string[] {
  const folders = inputs.map((input) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(input)?.[0]);
  return [...new Set(folders.filter((folder) => folder !== undefined))].sort();
}

function npmLicences(packages: readonly string[], folder: string): string[] {
  return packages.map((from) => {
    const { name, version, license } = describe(inRoot(from));
    const files = fs.readdirSync(inRoot(from)).filter((file) => licenceFile.test(file));
    if (files.length === 0) throw new Error(`npm package ${name} ${version} has no licence file`);
    const to = path.join(folder, `npm-${name.replace('/', '-')}-${version}`);
    for (const file of files) fs.cpSync(path.join(inRoot(from), file), path.join(to, file));
    return `npm     ${name} ${version} (${license ?? 'see its licence'})`;
  });
}

function nodeLicence(folder: string): string {
  const { version } = describe(nodePackage);
  fs.copyFileSync(path.join(nodePackage, 'LICENSE'), path.join(folder, 'node'));
  return `nodejs  node ${version}, with the libraries that its licence names`;
}

function describe(folder: string): { name: string; version: string; license?: string } {
  return JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8')) as ReturnType<
    typeof describe
  >;
}

/**
 * Copies Debian's copyright files, and the common licences to which they refer, because a RHEL guest does not have the
 * common licences. Returns a line of the list for each package.
 */
function debianLicences(folder: string): string[] {
  const packages = debianPackages();
  const common = new Set<string>();
  for (const { name, source } of packages) {
    const text = fs.readFileSync(`/usr/share/doc/${name}/copyright`, 'utf8');
    fs.writeFileSync(path.join(folder, `debian-${source}`), text);
    for (const [file] of text.matchAll(commonLicence))
      if (fs.existsSync(file)) common.add(fs.realpathSync(file));
  }
  for (const file of common) fs.copyFileSync(file, path.join(folder, `common-${path.basename(file)}`));
  return packages.map(
    ({ name, version, source, sourceVersion }) =>
      `debian  ${name} ${version} (source ${source} ${sourceVersion})`,
  );
}

/** Returns the Debian packages of the private runtime and of immutafs-boot. All packages of one source package share a copyright file. */
export function debianPackages(): { name: string; version: string; source: string; sourceVersion: string }[] {
  const args = [
    '-W',
    '-f',
    '${Package} ${Version} ${source:Package} ${source:Version}\n',
    ...new Set([...Object.keys(libraries), ...Object.keys(linkedLibraries)]),
  ];
  const lines = execFileSync('dpkg-query', args, { encoding: 'utf8' }).trim().split('\n');
  return [...new Set(lines)].sort().map((line) => {
    const [name = '', version = '', source = '', sourceVersion = ''] = line.split(' ');
    return { name, version, source, sourceVersion };
  });
}
