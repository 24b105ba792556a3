import { cpSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { build, buildExecutable } from '../../packaging/build/build.ts';
import {
  dist,
  executable,
  inRoot,
  installedRuntime,
  nodePackage,
  runtime,
  scratch,
} from '../../packaging/build/paths.ts';
import { libsystemdVersion } from '../../agent/system/journalctl.ts';
import { inTemporaryDirectory } from '../harness/temporary.ts';
import { run, runDist, version } from './support.ts';

const node = path.join(nodePackage, 'bin/node');
const probe = path.join(scratch, 'probe');

test.before(async () => {
  await build();
  await buildExecutable({ entry: inRoot('test/packaging/probe.ts'), out: probe });
});

test('prints the version of package.json', () => {
  assert.equal(runDist([executable, 'version']), { code: 0, stdout: `${version}\n`, stderr: '' });
});

test('uses the loader and libraries of the private runtime only', () => {
  const interpreter = run('patchelf', ['--print-interpreter', executable]).stdout.trim();
  assert.is(interpreter, `${installedRuntime}/ld-linux-x86-64.so.2`);
  assert.match(
    run('readelf', ['-d', executable]).stdout,
    `(RPATH)              Library rpath: [${installedRuntime}]`,
  );
  const { libraries } = runProbe();
  assert.ok(libraries.length >= 10, libraries.join(' '));
  assert.equal(
    libraries.filter((file) => path.dirname(file) !== installedRuntime),
    [],
  );
});

test('read-journal uses the private runtime, too', () => {
  assert.is(run('pkgconf', ['--modversion', 'libsystemd']).stdout.trim(), String(libsystemdVersion));
  const program = path.join(dist, 'read-journal');
  const interpreter = run('patchelf', ['--print-interpreter', program]).stdout.trim();
  assert.is(interpreter, `${installedRuntime}/ld-linux-x86-64.so.2`);
  const dynamic = run('readelf', ['-d', program]).stdout;
  assert.match(dynamic, `(RPATH)              Library rpath: [${installedRuntime}]`);
  const libraries = [...dynamic.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, name]) => name ?? '');
  assert.ok(libraries.includes('libc.so.6') && !libraries.includes('libsystemd.so.0'), libraries.join(' '));
  assert.equal(
    libraries.filter((name) => !readdirSync(runtime).includes(name)),
    [],
  );
});

test('the private runtime contains every library that it needs', () => {
  const present = readdirSync(runtime);
  assert.equal(missing(present), []);
  assert.equal(missing(present.filter((name) => name !== 'libcap.so.2')), ['libcap.so.2']);
});

test('has no memory that is writable and executable', () => {
  assert.equal(runProbe().writableAndExecutable, []);
  assert.equal(runDist([...denyWriteExecute, executable, 'version']).code, 0);
});

test('V8 accepts the code cache of the build, even with little memory and on one processor', () => {
  assert.is(runProbe().codeCacheRejected, false);
  const small = ['taskset', '1', 'prlimit', '--data=300000000'];
  assert.match(runDist([...small, probe]).stdout, '"codeCacheRejected":false');
});

test('the test for writable and executable memory detects plain Node', () => {
  assert.is.not(run(denyWriteExecute[0], [...denyWriteExecute.slice(1), node, '-p', '1']).code, 0);
});

test('ignores NODE_OPTIONS, unlike plain Node', () => {
  const env = { NODE_OPTIONS: '--require=/nonexistent.js' };
  assert.equal(runDist([executable, 'version'], { env }), { code: 0, stdout: `${version}\n`, stderr: '' });
  assert.is(run(node, ['-p', '1'], env).code, 1);
});

test('needs only the system calls of Linux 3.10', () => {
  const filter = path.join(scratch, 'linux-3.10');
  assert.is(run('cc', ['-o', filter, inRoot('test/packaging/linux-3.10.c')]).code, 0);
  // OpenSSL requires getrandom(2) if the kernel reports a newer version.
  const old = ['setarch', '--uname-2.6', filter];
  assert.equal(runDist([...old, executable, 'version']), { code: 0, stdout: `${version}\n`, stderr: '' });
  assert.match(runDist([...old, probe]).stdout, '"random":8');
  const getrandom = 'my $bytes = "12345678"; print syscall(318, $bytes, 8, 0)';
  assert.is(run('perl', ['-e', getrandom]).stdout, '8');
  assert.is(run(filter, ['perl', '-e', getrandom]).stdout, '-1');
});

test('loads the journal addon; if the file is missing, the import throws an Error', () => {
  assert.is(runProbe().journal, 'loaded');
  inTemporaryDirectory((libraries) => {
    cpSync(runtime, libraries, { recursive: true });
    rmSync(path.join(libraries, 'journal_send.node'));
    assert.match(runProbe(libraries).journal, /^Error: .*journal_send\.node: cannot open shared object file/);
  }, scratch);
});

test('contains no path of the build machine', () => {
  for (const file of [
    executable,
    path.join(dist, 'read-journal'),
    ...readdirSync(runtime).map((name) => path.join(runtime, name)),
  ]) {
    assert.not.ok(readFileSync(file).includes(inRoot('')), file);
  }
  assert.ok(Buffer.from(`x\0${inRoot('agent')}`).includes(inRoot('')));
});

test('is not rebuilt if nothing changed; the check takes less than a second of CPU time', async () => {
  const before = statSync(executable);
  const start = process.cpuUsage();
  await build();
  const { user, system } = process.cpuUsage(start);
  assert.ok(user + system < 1_000_000, `${user + system} µs`);
  assert.is(statSync(executable).ino, before.ino);
});

test('a build on a system with other mounts, another host name and umask gives the same executable', () => {
  inTemporaryDirectory((folder) => {
    const out = path.join(folder, 'other-agent');
    const build = `
      import { agent, buildExecutable } from ${JSON.stringify(inRoot('packaging/build/build.ts'))};
      await buildExecutable(agent(${JSON.stringify(out)}));`;
    const otherSystem = `
      mount -t tmpfs -o ro,noexec tmpfs /boot && mount -t tmpfs tmpfs /run && mkdir /run/immutafs &&
      echo MODE=maintenance >/run/immutafs/boot.env && hostname other && umask 0 && exec "$@"`;
    const { code, stderr } = run('unshare', [
      ...['--mount', '--uts', 'sh', '-c', otherSystem, 'sh'],
      ...[process.execPath, '--input-type=module-typescript', '--eval', build],
    ]);
    assert.is(code, 0, stderr);
    assert.ok(readFileSync(out).equals(readFileSync(executable)));
  }, scratch);
});

/**
 * Calls prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN), which exec keeps. systemd and SELinux can set the same
 * restriction.
 */
const denyWriteExecute = [
  'perl',
  '-e',
  'syscall(157, 65, 1, 0, 0, 0) == 0 or die $!; exec @ARGV',
  '--',
] as const;

interface Probe {
  codeCacheRejected: boolean;
  journal: string;
  libraries: string[];
  writableAndExecutable: string[];
}

function runProbe(libraries = ''): Probe {
  return JSON.parse(runDist([probe], { libraries }).stdout) as Probe;
}

/**
 * Returns the libraries that the executable or the files `present` of dist/lib need (DT_NEEDED, elf(5)), but that
 * `present` lacks.
 */
function missing(present: readonly string[]): string[] {
  const files = [executable, ...present.map((name) => path.join(runtime, name))];
  const needed = run('readelf', ['-d', ...files]).stdout.matchAll(/\(NEEDED\).*\[(.*)\]/g);
  return [...new Set([...needed].map(([, name]) => name ?? ''))]
    .filter((name) => !present.includes(name))
    .sort();
}

test.run();
