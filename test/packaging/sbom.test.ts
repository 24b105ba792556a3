import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as assert from 'uvu/assert';
import { Spec, Validation } from '@cyclonedx/cyclonedx-library';
import { test } from 'uvu';
import { dist, executable, installedRuntime, nodePackage } from '../../packaging/build/paths.ts';
import { buildRpm } from '../../packaging/rpm.ts';
import { nodeLibraries, thirdParty } from '../../packaging/sbom/third-party.ts';
import { sbom } from '../../packaging/sbom/sbom.ts';
import { run, runDist } from './support.ts';

interface Component {
  type: string;
  name: string;
  version?: string;
  purl?: string;
  cpe?: string;
  hashes?: { alg: string; content: string }[];
  licenses?: { expression?: string; license?: { id: string } }[];
  externalReferences?: { hashes?: unknown[] }[];
  components?: Component[];
}

interface Document {
  metadata: { component: Component };
  components: Component[];
}

const installed = '/usr/share/immutafs-agent/sbom.cdx.json';
const rpm = await buildRpm();
const text = readFileSync(path.join(dist, 'sbom.cdx.json'), 'utf8');
const document = JSON.parse(text) as Document;

test('is valid against the official schema of CycloneDX 1.5, and the schema is strict', async () => {
  const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot5);
  assert.is(await validator.validate(text), null);
  for (const wrong of [
    { ...document, bomFormat: 'SPDX' },
    { ...document, software: [] },
    { ...document, components: [{ type: 'library' }] },
    { ...document, components: [...document.components, document.components[0]] },
  ]) {
    assert.is.not(await validator.validate(JSON.stringify(wrong)), null, JSON.stringify(wrong).slice(0, 80));
  }
});

test('covers every file of the package with its checksum', () => {
  assert.equal(uncovered(packagedFiles()), []);
});

test('the previous test detects a file that is missing, and one that has changed', () => {
  const [first] = packagedFiles();
  assert.equal(uncovered([...packagedFiles(), { path: '/usr/bin/added', sha256: '0'.repeat(64) }]), [
    '/usr/bin/added',
  ]);
  assert.equal(uncovered([{ path: first?.path ?? '', sha256: '0'.repeat(64) }]), [first?.path ?? '']);
});

test('every file of the private runtime belongs to the project from which it comes', () => {
  const owner = (name: string) =>
    document.components.find(({ components = [] }) =>
      components.some((file) => file.name === `${installedRuntime}/${name}`),
    )?.name;
  assert.is(owner('libc.so.6'), 'libc6');
  assert.is(owner('libstdc++.so.6'), 'libstdc++6');
  assert.is(owner('libgcc_s.so.1'), 'libgcc-s1');
  assert.is(owner('journal_send.node'), 'systemd-journald');
  const product = { version: '1', licence: 'MIT', seconds: 0 };
  const added = { path: `${installedRuntime}/libz.so.1`, sha256: '0'.repeat(64) };
  assert.throws(() => sbom(thirdParty([]), [added], product), /libz\.so\.1 belongs to no component/);
});

test('every component has a version, a licence, a package URL and a hash', () => {
  const all = libraries();
  assert.ok(all.length > 50, String(all.length));
  for (const component of all) {
    const { name, version = '', purl = '', licenses = [] } = component;
    assert.match(version, /\d/, name);
    assert.match(purl, /^pkg:(?:npm|deb\/debian|github)\//, name);
    assert.is(licenses.length, 1, name);
    assert.ok(hasHash(component), `${name} has no hash`);
  }
});

test('names the software that vulnerability databases list by CPE', () => {
  const cpe = (name: string) => libraries().find((component) => component.name === name)?.cpe ?? '';
  const { version } = JSON.parse(readFileSync(path.join(nodePackage, 'package.json'), 'utf8')) as {
    version: string;
  };
  assert.is(cpe('node'), `cpe:2.3:a:nodejs:node.js:${version}:*:*:*:*:*:*:*`);
  assert.match(cpe('libc6'), /^cpe:2\.3:a:gnu:glibc:2\.\d+:\*/);
  assert.match(cpe('libstdc++6'), /^cpe:2\.3:a:gnu:gcc:\d+\.\d+\.\d+:\*/);
  assert.match(cpe('libcap2'), /^cpe:2\.3:a:libcap_project:libcap:2\.\d+:\*/);
  assert.match(cpe('openssl'), /^cpe:2\.3:a:openssl:openssl:3\.\d+\.\d+:\*/);
});

test('lists the libraries that Node reports, and the build fails for one that is not known', () => {
  const reported = run(path.join(nodePackage, 'bin/node'), ['-p', 'process.versions.uv']).stdout.trim();
  assert.is(libraries().find(({ name }) => name === 'libuv')?.version, reported);
  assert.throws(() => nodeLibraries({ quic: '1.0' }), /Node contains 'quic' 1\.0: add it to/);
  assert.equal(nodeLibraries({ node: '24.0.0', napi: '10', ngtcp2: '' }), []);
});

test('the executable lists the same software', () => {
  const { code, stdout } = runDist([executable, 'version', '--json']);
  assert.is(code, 0);
  const { bundled } = JSON.parse(stdout) as { bundled: { name: string; version: string }[] };
  const pairs = (list: { name: string; version?: string }[]) =>
    list.map(({ name, version = '' }) => `${name} ${version}`).sort();
  assert.equal(pairs(bundled), pairs(libraries()));
});

/** Returns the regular files of the package, except for the SBOM, which cannot contain its own checksum. */
function packagedFiles(): { path: string; sha256: string }[] {
  const lines = run('rpm', [
    '-qp',
    '--qf',
    '[%{FILEFLAGS:fflags}|%{FILEDIGESTS}|%{FILENAMES}\n]',
    rpm,
  ]).stdout;
  return lines
    .trimEnd()
    .split('\n')
    .map((line) => line.split('|'))
    .filter(([flags = '', sha256, file]) => sha256 !== '' && !flags.includes('g') && file !== installed)
    .map(([, sha256 = '', file = '']) => ({ path: file, sha256 }));
}

function uncovered(files: readonly { path: string; sha256: string }[]): string[] {
  const covered = new Set(
    everyComponent()
      .filter(({ type }) => type === 'file')
      .map(({ name, hashes = [] }) => `${hashes.find(({ alg }) => alg === 'SHA-256')?.content} ${name}`),
  );
  return files.filter((file) => !covered.has(`${file.sha256} ${file.path}`)).map((file) => file.path);
}

function libraries(): Component[] {
  return everyComponent().filter(({ type }) => type === 'library');
}

function everyComponent(): Component[] {
  const below = (component: Component): Component[] => [
    component,
    ...(component.components ?? []).flatMap(below),
  ];
  return [document.metadata.component, ...document.components].flatMap(below);
}

/** A component has a hash itself, or its files have, or the archive in which it was delivered. */
function hasHash({ hashes = [], components = [], externalReferences = [] }: Component): boolean {
  return (
    hashes.length > 0 ||
    components.some((file) => (file.hashes ?? []).length > 0) ||
    externalReferences.some((reference) => (reference.hashes ?? []).length > 0)
  );
}

test.run();
