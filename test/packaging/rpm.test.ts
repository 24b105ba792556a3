import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { documentedChecks } from '../../agent/checks/documented.ts';
import { installedRuntime, inRoot, runtime, scratch } from '../../packaging/build/paths.ts';
import { buildRpm } from '../../packaging/rpm.ts';
import { inTemporaryDirectory } from '../harness/temporary.ts';
import { rpmVersion, run, version } from './support.ts';

const rpm = await buildRpm();

test('requires packages that RHEL 7 to 10 have, and no library of the build machine', () => {
  const wanted = [
    ...['/bin/sh', 'coreutils', 'dracut', 'e2fsprogs', 'findutils', 'grep', 'kmod', 'parted', 'rsync'],
    ...['shadow-utils', 'systemd', 'util-linux', 'xfsprogs'],
  ];
  const required = unique(query('[%{REQUIRENAME}\n]')).filter((name) => !name.startsWith('rpmlib('));
  assert.equal(required, wanted);
  assert.equal(unique(query('[%{PROVIDENAME}\n]')), ['immutafs-agent', 'immutafs-agent(x86-64)']);
  assert.equal(libraryDependencies(rpm), []);
});

test('the previous test detects automatic dependencies', () => {
  inTemporaryDirectory((folder) => {
    assert.ok(libraryDependencies(automatic(folder)).includes('libcap.so.2()(64bit)'));
  }, scratch);
});

test('contains the documents that the checks name', () => {
  const folder = '/usr/share/doc/immutafs-agent';
  const text = documentedChecks
    .map(({ title, means, why, fix }) => [title, means, why, fix].join(' '))
    .join(' ');
  const named: string[] = text.match(/\/usr\/share\/doc\/[\w./-]*\w/g) ?? [];
  const pages = text.match(/(?<=\bdocs\/)[\w-]+\.md/g) ?? [];
  const read = documentedChecks.flatMap(({ page }) => page ?? []);
  const wanted = [...named, ...[...pages, ...read].map((page) => `${folder}/${page}`)];
  assert.ok(wanted.includes(`${folder}/stunnel-guest.conf`) && read.length > 20, wanted.join(' '));
  const files = query('[%{FILENAMES}\n]').split('\n');
  for (const file of wanted) assert.ok(files.includes(file), file);
});

test('requires no feature of rpm that 4.11 does not have', () => {
  const known = ['rpmlib(CompressedFileNames)', 'rpmlib(FileDigests)', 'rpmlib(PayloadFilesHavePrefix)'];
  assert.equal(
    unique(query('[%{REQUIRENAME}\n]')).filter((name) => name.startsWith('rpmlib(')),
    known,
  );
  assert.is(query('%{PAYLOADFORMAT} %{PAYLOADCOMPRESSOR} %{FILEDIGESTALGO}'), 'cpio gzip 8');
});

test('has the version of package.json and no name of the build machine', () => {
  assert.is(query('%{VERSION} %{RELEASE} %{ARCH} %{BUILDHOST}'), `${rpmVersion} 1 x86_64 localhost`);
  assert.is(path.basename(rpm), `immutafs-agent-${rpmVersion}-1.x86_64.rpm`);
});

test('every file belongs to root and has the expected mode', () => {
  for (const { file, mode, owner } of files()) {
    assert.is(owner, 'root:root', file);
    const executable =
      /\/bin\/|-generator$|\/95immutafs\/.*\.sh$|\/lib64\/.+\/|\/libexec\/immutafs\/[^.]*$/.test(file);
    const directory = mode.startsWith('d');
    assert.is(mode.slice(1), directory || executable ? 'rwxr-xr-x' : 'rw-r--r--', file);
  }
});

test('contains every script of boot/, and every file of units/, dracut/ and the private runtime', () => {
  const names = files().map(({ file }) => path.basename(file));
  const sources = ['boot', 'units', 'dracut', 'dracut/95immutafs'].map(inRoot).concat(runtime);
  // These are in immutafs-boot.
  const isSource = (name: string) => /\.(ts|c|h)$/.test(name);
  const missing = sources
    .flatMap((folder) => readdirSync(folder, { withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map(({ name }) => name)
    .filter((name) => !names.includes(name) && !isSource(name));
  assert.equal(missing, []);
  assert.ok(names.includes('immutafs-boot'));
  assert.equal(names.filter(isSource), []);
});

test('contains these units, which rpm.spec installs by their suffix', () => {
  const unit = /(?<=^\/usr\/lib\/systemd\/system\/immutafs-)[^/]+\.(service|target|timer|path)$/gm;
  assert.equal(query('[%{FILENAMES}\n]').match(unit), [
    ...['check.service', 'check.timer', 'drift.service', 'forward-state.service', 'forward.service'],
    ...['identity.path', 'identity.service', 'identity.target', 'identity.timer'],
    ...['mount-options@.service', 'mount@.service'],
    ...['move-begin.service', 'move-end.service', 'move.service', 'move.target'],
    ...['persist.service', 'persist@.service'],
    ...['rehearsal-limit.service', 'rehearsal.service', 'scratch-device.service', 'scratch-discard.service'],
    ...[
      'scratch-trim.service',
      'scratch.service',
      'seed-close.service',
      'seed-ended.service',
      'seed-finish.service',
      'seed.service',
    ],
    'session@.service',
    ...['user-runtime@.service', 'var.service', 'var@.service'],
  ]);
});

test('the only configuration file is not replaced if it was edited', () => {
  assert.is(run('rpm', ['-qpc', rpm]).stdout, '/etc/immutafs/immutafs.conf\n');
  assert.match(query('[%{FILENAMES} %{FILEFLAGS:fflags}\n]'), '/etc/immutafs/immutafs.conf cn\n');
});

test('on a sealed guest, rpm cannot take its lock, except for another root, in which it leaves nothing', () => {
  inTemporaryDirectory((other) => {
    mkdirSync(path.join(other, 'usr'));
    const readOnly = 'mount --bind /usr /usr && mount -o remount,bind,ro /usr && exec "$@"';
    const record = ['--dbpath=/database', '-i', '--justdb', '--nodeps', '--noscripts', '--notriggers', rpm];
    const install = (...words: string[]) => {
      const args = [`--load=${inRoot('packaging/macros.immutafs')}`, ...words, ...record];
      return run('unshare', ['--mount', 'sh', '-c', readOnly, 'sh', 'rpm', ...args]);
    };
    for (const words of [[], ['--root=/'], ['--root', '/'], ['-r', '/']])
      assert.match(install(...words).stderr, /lock on \/usr\/THIS GUEST IS SEALED, /, words.join(' '));
    for (const words of [[`--root=${other}`], ['--root', other], ['-r', other]]) {
      assert.is(install(...words, '--replacepkgs').code, 0, words.join(' '));
      assert.equal(readdirSync(path.join(other, 'usr')), [], words.join(' '));
    }
  }, scratch);
});

test('rpmlint reports no error', () => {
  const { stdout } = run('rpmlint', [
    '-c',
    inRoot('packaging/rpmlintrc.toml'),
    rpm,
    inRoot('packaging/rpm.spec'),
  ]);
  assert.match(stdout, ' 1 packages and 1 specfiles checked; 0 errors', stdout);
});

test('runs in a root that contains nothing else, not even /proc', () => {
  inTemporaryDirectory((empty) => {
    assert.is(run('sh', ['-c', 'cd "$1" && rpm2cpio "$2" | cpio -idm --quiet', 'sh', empty, rpm]).code, 0);
    // Node reads variables of the environment that must not affect this test, such as NODE_EXTRA_CA_CERTS.
    const agent = () => run('env', ['-i', '/usr/sbin/chroot', empty, '/usr/bin/immutafs-agent', 'version']);
    assert.equal(agent(), { code: 0, stdout: `${version}\n`, stderr: '' });
    rmSync(path.join(empty, installedRuntime, 'libstdc++.so.6'));
    assert.is(agent().code, 127);
  }, scratch);
});

function query(format: string): string {
  return run('rpm', ['-qp', '--qf', format, rpm]).stdout;
}

function unique(lines: string): string[] {
  return [...new Set(lines.trimEnd().split('\n'))].sort();
}

function files(): { file: string; mode: string; owner: string }[] {
  const lines = query('[%{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILENAMES}\n]')
    .trimEnd()
    .split('\n');
  return lines.map((line) => {
    const [mode = '', owner = '', file = ''] = line.split(' ');
    return { file, mode, owner };
  });
}

/** Returns the dependencies that rpm's generators find in ELF files. */
function libraryDependencies(file: string): string[] {
  const all = run('rpm', ['-qp', '--requires', '--provides', file]).stdout;
  return unique(all).filter((line) => /\.so|GLIBC|rtld/.test(line));
}

/** Builds a package with one library and automatic dependencies. */
function automatic(folder: string): string {
  const spec = path.join(folder, 'automatic.spec');
  writeFileSync(
    spec,
    `Name: automatic\nVersion: 1\nRelease: 1\nSummary: -\nLicense: -\n%description\n%global __os_install_post %{nil}
%global debug_package %{nil}\n%global _build_id_links none\n%install
install -D ${runtime}/libcap.so.2 %{buildroot}/usr/lib64/libcap.so.2\n%files\n/usr/lib64/libcap.so.2\n`,
  );
  const built = run('rpmbuild', ['-bb', '--define', `_topdir ${folder}`, spec]);
  assert.is(built.code, 0, built.stderr);
  return path.join(folder, 'RPMS/x86_64/automatic-1-1.x86_64.rpm');
}

test.run();
