import { spawnSync } from 'node:child_process';
import fs, { readFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SystemError } from '../../../agent/lib/errors.ts';
import { readDeviceTables, verifyKernelFile, readKernelLog } from '../../../agent/system/kernel.ts';
import { systemReader } from '../../../agent/system/reader.ts';
import { fails } from '../../harness/rejection.ts';
import { inDirectories, inTemporaryDirectory, writeFiles } from '../../harness/temporary.ts';

const reading = suite('SystemReader');
const readingIn = inDirectories(reading);
readingIn('returns one character per byte', (root) => {
  fs.writeFileSync(path.join(root, 'a'), Buffer.from([0, 10, 0x80, 0xff]));
  assert.is(systemReader({ root }).read('/a'), '\0\n\x80\xff');
});

reading('reads a file of procfs, whose size is 0', () => {
  assert.match(systemReader().read('/proc/self/mountinfo'), ' / ');
});

for (const [bytes, limit, good] of [
  [10, 10, true],
  [11, 10, false],
  [65536, 65536, true],
  [65537, 65536, false],
  [200_000, 100_000, false],
] as const) {
  readingIn(`a file of ${bytes} bytes with a limit of ${limit}`, (root) => {
    writeFiles(root, { a: 'x'.repeat(bytes) });
    const reader = systemReader({ root });
    if (good) assert.is(reader.read('/a', limit).length, bytes);
    else fails(() => reader.read('/a', limit), 'EFBIG', new RegExp(`larger than ${limit} bytes`));
  });
}

reading('an endless file', () => fails(() => systemReader().read('/dev/zero', 1000), 'EFBIG', /larger/));

readingIn('a FIFO without a writer does not hang', (root) => {
  assert.is(spawnSync('mkfifo', [path.join(root, 'a')]).status, 0);
  assert.is(systemReader({ root }).read('/a'), '');
});

readingIn('errors name the file and errno', (root) => {
  writeFiles(root, { file: '', loop: { linkTo: 'loop' } });
  const reader = systemReader({ root });
  fails(() => reader.read('/none'), 'ENOENT', /^\/none: no such file or directory$/);
  fails(() => reader.read('/'), 'EISDIR', /^\/: illegal operation on a directory$/);
  fails(() => reader.list('/file'), 'ENOTDIR', /^\/file: not a directory$/);
  fails(() => reader.link('/file'), 'EINVAL', /^\/file: invalid argument$/);
  fails(() => reader.resolve('/none'), 'ENOENT', /^\/none: no such file or directory$/);
  fails(() => reader.resolve('/loop'), 'ELOOP', /^\/loop: too many symbolic links/);
  fails(() => reader.usage('/none'), 'ENOENT', /^\/none: no such file or directory$/);
});

readingIn('readIfPresent returns undefined only if the file does not exist', (root) => {
  writeFiles(root, { file: 'x', large: 'x'.repeat(11), loop: { linkTo: 'loop' } });
  const reader = systemReader({ root });
  assert.is(reader.readIfPresent('/file'), 'x');
  assert.is(reader.readIfPresent('/none'), undefined);
  assert.is(reader.readIfPresent('/file/below'), undefined);
  fails(() => reader.readIfPresent('/'), 'EISDIR', /^\/: illegal operation on a directory$/);
  fails(() => reader.readIfPresent('/loop'), 'ELOOP', /^\/loop: too many symbolic links/);
  fails(() => reader.readIfPresent('/large', 10), 'EFBIG', /larger than 10 bytes/);
});

readingIn('list sorts names, link returns the target unresolved, resolve follows links', (root) => {
  writeFiles(root, { 'd/b': '', 'd/a': '', l: { linkTo: 'd/../d/a' } });
  const reader = systemReader({ root: fs.realpathSync(root) });
  assert.equal(reader.list('/d'), ['a', 'b']);
  assert.is(reader.hasEntries('/d'), true);
  assert.is(reader.link('/l'), 'd/../d/a');
  assert.is(reader.resolve('/l'), '/d/a');
  assert.is(reader.resolve('/'), '/');
});

readingIn('stat', (root) => {
  writeFiles(root, { file: 'abc', link: { linkTo: 'nowhere' } });
  fs.chmodSync(path.join(root, 'file'), 0o4751);
  const reader = systemReader({ root });
  const file = reader.stat('/file');
  assert.equal([file?.kind, file?.bytes, file?.mode], ['file', 3, 0o4751]);
  assert.is(reader.stat('/link')?.kind, 'link');
  assert.is(reader.stat('/')?.kind, 'directory');
  assert.is(systemReader().stat('/dev/null')?.kind, 'other');
  assert.is(reader.stat('/none'), undefined);
  assert.is(reader.stat('/none/below'), undefined);
});

reading('usage returns bytes', () => {
  const { type, sizeBytes, usedBytes } = systemReader().usage('/proc');
  assert.equal([type, sizeBytes, usedBytes], [0x9fa0, 0, 0]);
  const root = systemReader().usage('/');
  assert.ok(root.usedBytes > 0 && root.usedBytes <= root.sizeBytes);
  assert.ok(root.inodesUsed <= root.inodes);
});
reading.run();

/** The real program runs in the guest of `test/vm/matrix/sealed-runtime.test.ts`, because it needs device-mapper. */
const tables = suite('readDeviceTables');

/** Runs a script instead of immutafs-boot. */
function runScript(lines: string): ReadonlyMap<string, string> {
  return inTemporaryDirectory((directory) => {
    const program = path.join(directory, 'immutafs-boot');
    fs.writeFileSync(program, `#!/bin/sh\n${lines}\n`, { mode: 0o755 });
    return readDeviceTables(program);
  });
}

tables('the target with which the content may differ, by device', () => {
  assert.equal(
    [...runScript("printf '253:0\\n253:1 flakey\\n'; exit 1")],
    [
      ['253:0', ''],
      ['253:1', 'flakey'],
    ],
  );
  assert.equal([...runScript('echo 253:0')], [['253:0', '']]);
});
tables('no device', () => assert.is(runScript(':').size, 0));
for (const [title, lines] of [
  ['the program cannot read the tables', 'exit 3'],
  ['the program was killed', 'echo 253:0; kill -9 $$'],
  ['the output is incomplete', 'printf 253:0'],
] as const) {
  tables(`an error: ${title}`, () => {
    assert.throws(
      () => runScript(lines),
      (error: unknown) => error instanceof SystemError,
    );
  });
}
tables('an error: there is no such program', () => {
  assert.throws(() => readDeviceTables('/nonexistent/immutafs-boot'), /ENOENT/);
});
tables.run();

const refused = (action: () => unknown, said: RegExp) =>
  assert.throws(action, (error: unknown) => error instanceof SystemError && said.test(error.message));

const files = suite('verifyKernelFile');
files('accepts procfs and sysfs', () => {
  for (const file of [
    '/proc/self/mountinfo',
    '/proc',
    '/sys',
    '/sys/block',
    '/proc/sys/kernel/random/boot_id',
  ]) {
    verifyKernelFile(file);
  }
});
files('accepts cgroups, where systemd mounts them', () => {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const directories = mounts.flatMap((line) => /^\S+ (\/sys\/fs\/cgroup\S*) cgroup2? /.exec(line)?.[1] ?? []);
  assert.ok(directories.length > 0);
  for (const directory of directories) verifyKernelFile(`${directory}/cgroup.procs`);
});
files('does not check paths outside /proc and /sys', () => {
  verifyKernelFile('/none');
  verifyKernelFile('/process/x');
  verifyKernelFile('/sysx');
});
files('rejects a link out of procfs', () => {
  refused(
    () => verifyKernelFile('/proc/self/exe'),
    /^\/proc\/self\/exe: not the kernel's procfs but another/,
  );
  refused(() => systemReader().read('/proc/self/root/etc/hostname'), /not the kernel's procfs/);
  refused(() => systemReader().list('/proc/self/root/etc'), /not the kernel's procfs/);
  refused(() => systemReader().link('/proc/self/root/proc/self/../../etc/mtab'), /not the kernel's procfs/);
});
files.run();

const log = suite('readKernelLog');
log('rejects other files', () => {
  inTemporaryDirectory((root) => {
    const file = path.join(root, 'kmsg');
    fs.writeFileSync(file, '5,1,2,-;sd 2:0:0:0: [sda] Write Protect is on\n');
    refused(() => readKernelLog(file), /not the kernel's log device/);
    refused(() => readKernelLog('/dev/null'), /not the kernel's log device/);
  });
});
if (process.getuid?.() === 0 && fs.existsSync('/dev/kmsg')) {
  log('returns records, the oldest first', () => {
    const numbers = readKernelLog().map((record) => Number(/^\d+,(\d+),/.exec(record)?.[1]));
    assert.ok(numbers.length > 0);
    assert.equal(
      numbers,
      numbers.toSorted((a, b) => a - b),
    );
  });
}
log.run();
