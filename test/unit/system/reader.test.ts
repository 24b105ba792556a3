import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SystemError } from '../../../agent/lib/errors.ts';
import { systemReader } from '../../../agent/system/reader.ts';
import { inTemporaryDirectory, writeFiles } from '../../harness/temporary.ts';

function fails(action: () => unknown, code: string, said: RegExp): void {
  assert.throws(action, (error: unknown) => {
    assert.instance(error, SystemError);
    assert.is((error as SystemError).code, code);
    assert.match((error as SystemError).message, said);
    return true;
  });
}

const reading = suite('SystemReader');
reading('returns one character per byte', () => {
  inTemporaryDirectory((root) => {
    fs.writeFileSync(path.join(root, 'a'), Buffer.from([0, 10, 0x80, 0xff]));
    assert.is(systemReader({ root }).read('/a'), '\0\n\x80\xff');
  });
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
  reading(`a file of ${bytes} bytes with a limit of ${limit}`, () => {
    inTemporaryDirectory((root) => {
      writeFiles(root, { a: 'x'.repeat(bytes) });
      const reader = systemReader({ root });
      if (good) assert.is(reader.read('/a', limit).length, bytes);
      else fails(() => reader.read('/a', limit), 'EFBIG', new RegExp(`larger than ${limit} bytes`));
    });
  });
}

reading('an endless file', () => fails(() => systemReader().read('/dev/zero', 1000), 'EFBIG', /larger/));

reading('a FIFO without a writer does not hang', () => {
  inTemporaryDirectory((root) => {
    assert.is(spawnSync('mkfifo', [path.join(root, 'a')]).status, 0);
    assert.is(systemReader({ root }).read('/a'), '');
  });
});

reading('errors name the file and errno', () => {
  inTemporaryDirectory((root) => {
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
});

reading('readIfPresent returns undefined only if the file does not exist', () => {
  inTemporaryDirectory((root) => {
    writeFiles(root, { file: 'x', large: 'x'.repeat(11), loop: { linkTo: 'loop' } });
    const reader = systemReader({ root });
    assert.is(reader.readIfPresent('/file'), 'x');
    assert.is(reader.readIfPresent('/none'), undefined);
    assert.is(reader.readIfPresent('/file/below'), undefined);
    fails(() => reader.readIfPresent('/'), 'EISDIR', /^\/: illegal operation on a directory$/);
    fails(() => reader.readIfPresent('/loop'), 'ELOOP', /^\/loop: too many symbolic links/);
    fails(() => reader.readIfPresent('/large', 10), 'EFBIG', /larger than 10 bytes/);
  });
});

reading('list sorts names, link returns the target unresolved, resolve follows links', () => {
  inTemporaryDirectory((root) => {
    writeFiles(root, { 'd/b': '', 'd/a': '', l: { linkTo: 'd/../d/a' } });
    const reader = systemReader({ root: fs.realpathSync(root) });
    assert.equal(reader.list('/d'), ['a', 'b']);
    assert.is(reader.link('/l'), 'd/../d/a');
    assert.is(reader.resolve('/l'), '/d/a');
    assert.is(reader.resolve('/'), '/');
  });
});

reading('stat', () => {
  inTemporaryDirectory((root) => {
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
});

reading('usage returns bytes', () => {
  const { type, sizeBytes, usedBytes } = systemReader().usage('/proc');
  assert.equal([type, sizeBytes, usedBytes], [0x9fa0, 0, 0]);
  const root = systemReader().usage('/');
  assert.ok(root.usedBytes > 0 && root.usedBytes <= root.sizeBytes);
  assert.ok(root.inodesUsed <= root.inodes);
});
reading.run();
