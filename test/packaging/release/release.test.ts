import fs from 'node:fs';
import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { inRoot, scratch } from '../../../packaging/build/paths.ts';
import { signFile, signingKey, signPackage, writePublicKey } from '../../../packaging/release/key.ts';
import { release } from '../../../packaging/release/release.ts';
import { publicKeyName, writeRepository } from '../../../packaging/release/repository.ts';
import { buildPackage, unpackSource } from '../../../packaging/release/source.ts';
import { type Outcome, rpmVersion, run, version } from '../support.ts';
import { DnfRoot } from './dnf-root.ts';
import { Keyring } from './signing.ts';
import { SourceRepository } from './source-repository.ts';

/** Releases two versions for real, and installs them with dnf as an administrator does. */
const earlier = '0.0.1';
const modules = fs.realpathSync(inRoot('node_modules'));
const folder = fs.mkdtempSync(path.join(scratch, 'released-'));
const out = path.join(folder, 'out');
const packageFile = path.join(out, `x86_64/immutafs-agent-${rpmVersion}-1.x86_64.rpm`);
const keyring = new Keyring('release@example.org');
const stranger = new Keyring('stranger@example.org');
const source = new SourceRepository(path.join(folder, 'repository'));

const publish = (to = out) =>
  release({
    ...{ repository: source.folder, out: to, url: `file://${out}`, modules },
    key: signingKey(keyring.env),
  });

test.before(() => {
  // A release is built on the file system of node_modules.
  process.env['TMPDIR'] = folder;
  source.commitVersion(earlier);
  publish();
  source.commitVersion(version);
  publish();
});
test.after(() => {
  for (const each of [keyring, stranger]) each.remove();
  fs.rmSync(folder, { recursive: true });
});

test('publishes the package, its source, SBOM and notes, the repository, the key and the checksums', () => {
  const name = `immutafs-agent-${version}`;
  for (const file of [
    ...['RPM-GPG-KEY-immutafs', 'SHA256SUMS', 'SHA256SUMS.asc', 'immutafs-agent.repo'],
    ...[`${name}.cdx.json`, `${name}.md`, `${name}.tar.gz`, `immutafs-agent-${earlier}.tar.gz`],
    ...['x86_64/repodata/repomd.xml', 'x86_64/repodata/repomd.xml.asc'],
    `x86_64/immutafs-agent-${earlier}-1.x86_64.rpm`,
  ])
    assert.ok(fs.existsSync(path.join(out, file)), file);
  assert.is(run('sh', ['-c', 'cd "$1" && sha256sum --check --strict --quiet SHA256SUMS', 'sh', out]).code, 0);
  const sums = fs.readFileSync(path.join(out, 'SHA256SUMS'), 'utf8');
  assert.match(sums, `  x86_64/${path.basename(packageFile)}\n`);
  const installed = '/usr/share/immutafs-agent/sbom.cdx.json';
  const [, digest] =
    new RegExp(`^(\\S+) ${installed}$`, 'm').exec(
      run('rpm', ['-qp', '--qf', '[%{FILEDIGESTS} %{FILENAMES}\n]', packageFile]).stdout,
    ) ?? [];
  assert.match(sums, `${digest}  ${name}.cdx.json\n`);
});

test('refuses a version that is already published, and a source that is not committed', () => {
  assert.throws(() => publish(), /version .* is already published .*: raise the version in package\.json/);
  const before = fs.readFileSync(path.join(out, 'SHA256SUMS.asc'));
  const added = path.join(source.folder, 'agent/added.ts');
  fs.writeFileSync(added, '');
  assert.throws(
    () => publish(path.join(folder, 'elsewhere')),
    /changes that are not committed; .*\n\?\? agent\/added\.ts/,
  );
  fs.rmSync(added);
  assert.equal(fs.readFileSync(path.join(out, 'SHA256SUMS.asc')), before);
  assert.equal(fs.readdirSync(folder).sort(), ['out', 'repository']);
});

test('a build in another folder, later, with another umask, locale and time zone gives the same package', () => {
  const archive = path.join(out, `immutafs-agent-${version}.tar.gz`);
  const umask = process.umask(0o077);
  try {
    const unpacked = unpackSource(archive, path.join(folder, 'another/folder'), { modules });
    const env = { LC_ALL: 'tr_TR.UTF-8', LANG: 'tr_TR.UTF-8', TZ: 'Asia/Tokyo', HOME: folder, USER: 'other' };
    const rebuilt = buildPackage(unpacked, env);
    assert.is(contentDigests(rebuilt), contentDigests(packageFile));
    assert.is.not(
      contentDigests(path.join(out, `x86_64/immutafs-agent-${earlier}-1.x86_64.rpm`)),
      contentDigests(rebuilt),
    );
  } finally {
    process.umask(umask);
    fs.rmSync(path.join(folder, 'another'), { recursive: true, force: true });
  }
});

test('dnf installs, upgrades, downgrades, reinstalls and erases with every signature check, also of a package file', () => {
  inRootWith(path.join(out, 'immutafs-agent.repo'), (guest) => {
    const succeeds = (command: string, name: string, expected: string) => {
      assertSucceeds(guest.dnf(command, name));
      assert.is(guest.version(), expected, command);
    };
    succeeds('install', `immutafs-agent-${earlier}`, earlier);
    succeeds('upgrade', 'immutafs-agent', rpmVersion);
    assert.equal(guest.root.rpm(['--verify', 'immutafs-agent']).stdout, '');
    succeeds('downgrade', 'immutafs-agent', earlier);

    const file = path.join(folder, path.basename(packageFile));
    fs.copyFileSync(packageFile, file);
    run('rpmsign', ['--delsign', file]);
    assertFails(guest.dnf('install', file), /not signed|is not signed/i);
    signPackage(signingKey(stranger.env), file);
    assertFails(guest.dnf('install', file), /key|signature/i);
    assert.is(guest.version(), earlier);
    fs.copyFileSync(packageFile, file);
    succeeds('install', file, rpmVersion);

    succeeds('reinstall', 'immutafs-agent', rpmVersion);
    succeeds('remove', 'immutafs-agent', '');
    for (const left of ['usr/bin/immutafs-agent', 'usr/lib64/immutafs-agent', 'usr/share/immutafs-agent'])
      assert.not.ok(guest.root.has(left), left);
  });
});

test('dnf refuses a repository whose packages or metadata were replaced', () => {
  const copy = path.join(folder, 'mirror');
  fs.cpSync(out, copy, { recursive: true });
  const configuration = path.join(copy, 'immutafs-agent.repo');
  const original = fs
    .readFileSync(configuration, 'utf8')
    .replaceAll(`file://${out}/x86_64`, `file://${copy}/x86_64`);
  fs.writeFileSync(configuration, original);
  const replaced = path.join(copy, 'x86_64', path.basename(packageFile));
  signPackage(signingKey(stranger.env), replaced);

  // The signed metadata has another checksum.
  refused(configuration, /checksum|size/i);
  run('createrepo_c', ['--quiet', path.join(copy, 'x86_64')]);
  signFile(signingKey(stranger.env), path.join(copy, 'x86_64/repodata/repomd.xml'));
  refused(configuration, /signature|GPG/i);
  fs.writeFileSync(configuration, original.replace('repo_gpgcheck=1', 'repo_gpgcheck=0'));
  refused(configuration, /key|signature|GPG/i);
});

test('dnf refuses a repository in which everything, also the key, is that of another one', () => {
  const copy = path.join(folder, 'forged');
  const key = signingKey(stranger.env);
  fs.cpSync(path.join(out, 'x86_64'), path.join(copy, 'x86_64'), { recursive: true });
  for (const file of fs.readdirSync(path.join(copy, 'x86_64')).filter((name) => name.endsWith('.rpm')))
    signPackage(key, path.join(copy, 'x86_64', file));
  writePublicKey(key, path.join(copy, publicKeyName));
  writeRepository(copy, { url: `file://${copy}`, seconds: '1700000000', key });
  refused(path.join(copy, 'immutafs-agent.repo'), /signature|GPG/i);
});

/** Returns the digests of the header and of the payload, which together are the package without its signature. */
function contentDigests(file: string): string {
  return run('rpm', ['-qp', '--qf', '%{SHA256HEADER} %{PAYLOADDIGEST}', file]).stdout;
}

function inRootWith(configuration: string, use: (guest: DnfRoot) => void): void {
  const guest = new DnfRoot();
  try {
    guest.addRepository(configuration, path.join(out, publicKeyName));
    use(guest);
  } finally {
    guest.remove();
  }
}

function refused(configuration: string, reason: RegExp): void {
  inRootWith(configuration, (guest) => {
    assertFails(guest.dnf('install', 'immutafs-agent'), reason);
    assert.is(guest.version(), '');
  });
}

function assertSucceeds({ code, stdout, stderr }: Outcome): void {
  assert.is(code, 0, `${stdout}${stderr}`.slice(-2000));
}

function assertFails({ code, stdout, stderr }: Outcome, reason: RegExp): void {
  assert.is(code, 1, stdout.slice(-2000));
  assert.match(`${stdout}${stderr}`, reason);
}

test.run();
