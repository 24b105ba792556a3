import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as assert from 'uvu/assert';
import { scratch } from '../../packaging/build/paths.ts';
import { buildRpm } from '../../packaging/rpm.ts';
import { rootSuite, type ScratchRoot, versionOf } from './scratch-root.ts';
import { assertQuiet, run, type Outcome } from './support.ts';

/** The drop-ins of our units after rpm has installed, changed or erased the package or systemd. */
const test = rootSuite('drop-ins by the version of systemd', (root) => root.remove('bin/systemctl'));
const source = 'usr/lib/immutafs-agent/dropins/immutafs-forward.service.d';
const target = 'usr/lib/systemd/system/immutafs-forward.service.d';
const [since239, since252] = ['hardening-since-239.conf', 'hardening-since-252.conf'];
const selected = new Map<number, string[]>([
  [219, []],
  [239, [since239]],
  [252, [since239, since252]],
  [257, [since239, since252]],
]);
const versions = [...selected.keys()];
const reload = 'systemctl daemon-reload';
const script = ['/usr/libexec/immutafs/immutafs-boot', 'select-dropins'];
const rpm = await buildRpm();
const folder = mkdtempSync(path.join(scratch, 'systemd-'));

test.before(() => versions.forEach(buildSystemd));
test.after(() => rmSync(folder, { recursive: true }));

test('systemd is installed after the package, upgraded and downgraded, and reloaded if a drop-in changed', ({
  root,
}) => {
  root.makeDirectory('run/systemd/system');
  assertQuiet(root.rpm(['-i', '--nodeps', rpm]));
  assert.equal(root.list(target), []);
  root.calls();
  assertQuiet(installSystemd(root, 219));
  assertSelected(root, 219);
  assert.equal(root.calls(), []);
  for (const version of [239, 252, 239, 219, 257]) {
    assertQuiet(installSystemd(root, version));
    assertSelected(root, version);
    assert.equal(root.calls(), [reload], `systemd ${version}`);
  }
  assertQuiet(installSystemd(root, 252));
  assert.equal(root.calls(), [], 'the same drop-ins as for 257');
  root.write(path.join(target, since252), 'of an older version of the package\n');
  assertQuiet(root.rpm(['-U', '--nodeps', '--force', rpm]));
  assertSelected(root, 252);
  assertQuiet(root.rpm(['--verify', '--nodeps', 'immutafs-agent']));
  assertQuiet(root.rpm(['-e', 'immutafs-agent']));
  assert.not.ok(root.has(target));
});

test('systemd is installed before the package, and an administrator has drop-ins', ({ root }) => {
  assertQuiet(installSystemd(root, 257));
  assertQuiet(root.rpm(['-i', '--nodeps', rpm]));
  assertSelected(root, 257);
  assert.not.ok(root.calls().includes(reload), 'no systemd runs');
  root.write(path.join(target, 'own.conf'), '[Service]\n');
  assertQuiet(installSystemd(root, 219));
  assert.equal(root.list(target), ['own.conf']);
  root.rpm(['-e', 'immutafs-agent']);
  assert.equal(root.list(target), ['own.conf']);
});

test('a drop-in for earlier versions; an unknown version and a failure do not fail the transaction', ({
  root,
}) => {
  assertQuiet(installSystemd(root, 219));
  assertQuiet(root.rpm(['-i', '--nodeps', rpm]));
  assertSelected(root, 219);
  root.write(path.join(source, 'other-before-239.conf'), '[Service]\n');
  for (const [version, files] of [
    [238, ['other-before-239.conf']],
    [239, [since239]],
  ] as const) {
    root.stub('systemctl', versionOf(version));
    assertQuiet(run('chroot', [root.folder, ...script]));
    assert.equal(root.list(target), files);
  }
  root.stub('systemctl', '[ "$1" != --version ] || exit 1');
  const { code, stderr } = run('chroot', [root.folder, ...script]);
  assert.is(code, 1);
  assert.match(stderr, 'systemctl --version does not print a version: the units are not hardened further.');
  assert.equal(root.list(target), []);
  root.remove(target);
  root.write(target, '');
  const failed = installSystemd(root, 257);
  assert.is(failed.code, 0);
  assert.match(failed.stderr, `immutafs-agent: ${script.join(' ')} reload failed, ignoring: `);
});

test('the disk is full: no incomplete file is left', ({ root }) => {
  assertQuiet(installSystemd(root, 257));
  assertQuiet(root.rpm(['-i', '--nodeps', rpm]));
  const full = `mount -t tmpfs -o size=4k tmpfs "$1/${target}" && head -c 4096 /dev/zero >"$1/${target}/full" &&
    { chroot "$1" ${script.join(' ')}; echo $?; ls "$1/${target}"; }`;
  const { stdout } = run('unshare', ['--mount', 'sh', '-c', full, 'sh', root.folder]);
  assert.is(stdout, '1\nfull\n');
});

/** Builds a package systemd whose systemctl records its calls and prints the version. */
function buildSystemd(version: number): void {
  const spec = path.join(folder, 'systemd.spec');
  writeFileSync(
    spec,
    `Name: systemd\nVersion: ${version}\nRelease: 1\nSummary: -\nLicense: -\nBuildArch: noarch\nAutoReqProv: no
%description\n%install\nmkdir -p %{buildroot}/bin\ncat >%{buildroot}/bin/systemctl <<'END'
#!/bin/sh\necho "systemctl $*" >>/calls\n${versionOf(version)}\nEND
%files\n%attr(0755,root,root) /bin/systemctl\n`,
  );
  const macros = ['--define', `_topdir ${folder}`, '--define', '_build_name_fmt %%{NAME}-%%{VERSION}.rpm'];
  const built = run('rpmbuild', ['-bb', ...macros, spec]);
  assert.is(built.code, 0, built.stderr);
}

function installSystemd(root: ScratchRoot, version: number): Outcome {
  return root.rpm(['-U', '--oldpackage', path.join(folder, `RPMS/systemd-${version}.rpm`)]);
}

function assertSelected(root: ScratchRoot, version: number): void {
  const files = selected.get(version) ?? [];
  assert.equal(root.list(target), files, `systemd ${version}`);
  for (const file of files) {
    assert.is(root.read(path.join(target, file)), root.read(path.join(source, file)));
  }
}

test.run();
