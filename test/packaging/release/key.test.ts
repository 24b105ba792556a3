import fs from 'node:fs';
import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { inRoot, scratch } from '../../../packaging/build/paths.ts';
import {
  signFile,
  signingKey,
  signPackage,
  verifyPackages,
  writePublicKey,
} from '../../../packaging/release/key.ts';
import { copyEarlier, filesBelow } from '../../../packaging/release/earlier.ts';
import { release, releaseNotes, replace } from '../../../packaging/release/release.ts';
import { configuration } from '../../../packaging/release/repository.ts';
import { run } from '../support.ts';
import { Keyring } from './signing.ts';

let folder = '';
let good: Keyring;
const others: Keyring[] = [];

test.before(() => {
  folder = fs.mkdtempSync(path.join(scratch, 'key-'));
  good = new Keyring('release@example.org');
});
test.after(() => {
  for (const keyring of [good, ...others]) keyring.remove();
  fs.rmSync(folder, { recursive: true });
});

test('finds an RSA key of 4096 bits by its address and by its fingerprint', () => {
  const { fingerprint } = signingKey(good.env);
  assert.match(fingerprint, /^[0-9A-F]{40}$/);
  assert.is(signingKey({ ...good.env, SIGNING_KEY: fingerprint }).fingerprint, fingerprint);
});

test('refuses to release without a key, and with a key that does not exist', () => {
  assert.throws(() => signingKey({}), /must be signed, and SIGNING_KEY is not set/);
  assert.throws(() => signingKey({ ...good.env, SIGNING_KEY: '' }), /SIGNING_KEY is not set/);
  assert.throws(
    () => signingKey({ ...good.env, SIGNING_KEY: 'other@example.org' }),
    /no secret key 'other@example\.org' \(SIGNING_KEY\) in .*\(SIGNING_HOME\)/,
  );
});

for (const [algorithm, usage, reason] of [
  ['ed25519', 'sign', /not an RSA key/],
  ['rsa2048', 'sign', /has 2048 bits, and 4096 are required/],
  ['rsa4096', 'cert', /primary key is not for signing/],
] as const) {
  test(`refuses a key ${algorithm} for ${usage}`, () => {
    const keyring = new Keyring('weak@example.org', algorithm, usage);
    others.push(keyring);
    assert.throws(() => signingKey(keyring.env), reason);
  });
}

test('the release command ends with exit code 1 and one message if it has no key', () => {
  const script = inRoot('packaging/release/release.ts');
  const args = [script, '--url', 'https://example.org/', '--out', path.join(folder, 'never')];
  const { code, stderr } = run(process.execPath, args, { SIGNING_KEY: '', SIGNING_HOME: folder });
  assert.is(code, 1);
  assert.match(stderr, /^release: a release must be signed.*\n$/);
  assert.not.ok(fs.existsSync(path.join(folder, 'never')));
});

test('refuses an address without protection', () => {
  const options = { repository: inRoot(''), out: path.join(folder, 'never'), key: signingKey(good.env) };
  assert.throws(() => release({ ...options, url: 'http://example.org/' }), /must begin with https:\/\//);
  assert.not.ok(fs.existsSync(options.out));
});

test('refuses to replace a folder that contains anything but a release', () => {
  const out = path.join(folder, 'home');
  fs.mkdirSync(out);
  fs.writeFileSync(path.join(out, 'file'), '');
  const options = { repository: inRoot(''), out, url: 'https://example.org/', key: signingKey(good.env) };
  assert.throws(() => release(options), /home contains files that are not a release/);
  assert.equal(fs.readdirSync(out), ['file']);
});

/** Creates the folder of an earlier release, signed by a key, and changes it. @returns the folder */
function earlierRelease(
  name: string,
  { change = () => undefined, key = good }: { change?: (out: string) => void; key?: Keyring } = {},
): string {
  const out = path.join(folder, name);
  const files = [
    'x86_64/a-1.rpm',
    'x86_64/repodata/repomd.xml',
    'immutafs-agent-1.tar.gz',
    'immutafs-agent.repo',
  ];
  for (const file of files) {
    fs.mkdirSync(path.dirname(path.join(out, file)), { recursive: true });
    fs.writeFileSync(path.join(out, file), file);
  }
  const { stdout } = run('sh', ['-c', 'cd "$1" && shift && sha256sum "$@"', 'sh', out, ...files]);
  fs.writeFileSync(path.join(out, 'SHA256SUMS'), stdout);
  signFile(signingKey(key.env), path.join(out, 'SHA256SUMS'));
  change(out);
  return out;
}

test('takes the packages and archives of an earlier release', () => {
  const out = earlierRelease('earlier');
  const next = path.join(folder, 'next');
  copyEarlier(out, next, signingKey(good.env));
  assert.equal(filesBelow(next), ['immutafs-agent-1.tar.gz', 'x86_64/a-1.rpm']);
});

for (const [title, file, content, reason] of [
  [
    'a changed archive',
    'immutafs-agent-1.tar.gz',
    'x',
    /agent-1\.tar\.gz differs from SHA256SUMS of the earlier release/,
  ],
  ['a changed package', 'x86_64/a-1.rpm', 'x', /a-1\.rpm differs from SHA256SUMS/],
  ['a changed repository', 'immutafs-agent.repo', 'x', /immutafs-agent\.repo differs from SHA256SUMS/],
  ['changed checksums', 'SHA256SUMS', 'x', /SHA256SUMS\.asc is not a valid signature/],
  [
    'an archive of no release',
    'immutafs-agent-2.tar.gz',
    'x',
    /agent-2\.tar\.gz is not part of the earlier release/,
  ],
  ['another file', '.htaccess', 'x', /\.htaccess is not part of the earlier release/],
] as const) {
  test(`refuses an earlier release with ${title}, and leaves it unchanged`, () => {
    const out = earlierRelease(title, { change: (each) => fs.writeFileSync(path.join(each, file), content) });
    const before = filesBelow(out);
    const options = { repository: inRoot(''), out, url: 'https://example.org/', key: signingKey(good.env) };
    assert.throws(() => release(options), reason);
    assert.equal(filesBelow(out), before);
  });
}

test('refuses an earlier release of another key, also one of the same folder of GnuPG', () => {
  const stranger = new Keyring('second@example.org');
  others.push(stranger);
  const out = earlierRelease('stranger', { key: stranger });
  const copy = () => copyEarlier(out, path.join(folder, 'never'), signingKey(good.env));
  assert.throws(copy, /not a valid signature/);
  const exported = path.join(folder, 'second.gpg');
  stranger.gpg('--output', exported, '--export', stranger.address);
  good.gpg('--quiet', '--import', exported);
  assert.throws(copy, /SHA256SUMS is not signed by the key of this release/);
});

test('a folder that cannot be replaced is unchanged', () => {
  const out = earlierRelease('kept');
  const before = filesBelow(out);
  assert.throws(() => replace(out, path.join(folder, 'missing')), /ENOENT/);
  assert.equal(filesBelow(out), before);
});

test('takes the release notes of exactly this version', () => {
  const text = '# Changelog\n\n## 1.10 (2026-01-01)\n\n- ten\n\n## 1.1\n\n### A\n\n- one\n\n## 1.0\n';
  assert.is(releaseNotes(text, '1.1'), '# immutafs-agent 1.1\n\n### A\n\n- one\n');
  assert.is(releaseNotes(text, '1.10'), '# immutafs-agent 1.10\n\n- ten\n');
  assert.throws(() => releaseNotes(text, '1'), /no section '## 1': rename '## Unreleased'/);
  assert.throws(() => releaseNotes(text, '1.0'), /section '## 1\.0' of CHANGELOG\.md is empty/);
});

test('the repository configuration requires signatures of packages and metadata', () => {
  const lines = configuration('https://example.org/immutafs/').split('\n');
  for (const line of [
    'gpgcheck=1',
    'repo_gpgcheck=1',
    'baseurl=https://example.org/immutafs/x86_64/',
    'gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-immutafs',
  ])
    assert.ok(lines.includes(line), line);
});

test('verifies that a package is signed, by this key, and was not changed', () => {
  const file = path.join(folder, 'small.rpm');
  const publicKey = path.join(folder, 'public');
  const key = signingKey(good.env);
  writePublicKey(key, publicKey);
  fs.copyFileSync(smallPackage(), file);
  assert.throws(() => verifyPackages([file], publicKey), /small\.rpm is not signed by the key/);

  signPackage(key, file);
  verifyPackages([file], publicKey);
  const tags = run('rpm', ['-qp', '--qf', '%{RSAHEADER:pgpsig}|%{SIGPGP:pgpsig}', file]).stdout;
  assert.match(tags, /^RSA\/SHA256.*\|RSA\/SHA256/);

  const changed = fs.readFileSync(file);
  const place = changed.length - 20;
  changed.writeUInt8(changed.readUInt8(place) ^ 1, place);
  fs.writeFileSync(file, changed);
  assert.throws(() => verifyPackages([file], publicKey), /is not signed by the key/);

  const stranger = new Keyring('stranger@example.org');
  others.push(stranger);
  fs.copyFileSync(smallPackage(), file);
  signPackage(signingKey(stranger.env), file);
  assert.throws(() => verifyPackages([file], publicKey), /is not signed by the key/);
});

test('a signature of a file is verified by the public key only', () => {
  const key = signingKey(good.env);
  const file = path.join(folder, 'sums');
  fs.writeFileSync(file, 'x\n');
  signFile(key, file);
  const keyring = path.join(folder, 'keyring.gpg');
  good.gpg('--output', keyring, '--export', key.fingerprint);
  const verify = () => run('gpgv', ['--keyring', keyring, `${file}.asc`, file]).code;
  assert.is(verify(), 0);
  fs.writeFileSync(file, 'y\n');
  assert.is(verify(), 1);
});

/** Builds a package without files. */
function smallPackage(): string {
  const spec = path.join(folder, 'small.spec');
  fs.writeFileSync(
    spec,
    'Name: small\nVersion: 1\nRelease: 1\nSummary: -\nLicense: -\nBuildArch: noarch\n%description\n%files\n',
  );
  const built = run('rpmbuild', ['-bb', '--define', `_topdir ${folder}/rpmbuild`, spec]);
  assert.is(built.code, 0, built.stderr);
  return path.join(folder, 'rpmbuild/RPMS/noarch/small-1-1.noarch.rpm');
}

test.run();
