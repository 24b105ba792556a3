import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import * as assert from 'uvu/assert';
import { suite } from 'uvu';
import { parseSize } from '../../../agent/changes/export/export.ts';
import { memberName, memberOf, partsWriter } from '../../../agent/changes/export/files.ts';
import { SystemError, UsageError } from '../../../agent/lib/errors.ts';
import type { ExportTarget } from '../../../agent/system/layers/export-file.ts';
import { type Member, tarWriter } from '../../../agent/system/layers/tar-writer.ts';
import { whileTemporaryDirectory } from '../../harness/temporary.ts';

const exporting = suite('export');

for (const [text, bytes] of [
  ['1K', 1024],
  ['500M', 500 * 1024 ** 2],
  ['2T', 2 * 1024 ** 4],
] as const) {
  exporting(`--max-size ${text}`, () => assert.is(parseSize(text), bytes));
}
for (const text of ['', '5', 'M', '-1M', '1.5G', '1GiB', '9999999999M'])
  exporting(`--max-size ${text} is an error`, () =>
    assert.throws(
      () => parseSize(text),
      (error: unknown) => error instanceof UsageError,
    ),
  );

exporting('names that are not valid UTF-8 have a number', () => {
  assert.is(memberName('/var/\xc3\xa4\n', 1), 'files/var/ä\n');
  assert.is(memberName('/var/\xff', 12), 'undecodable/000012');
});

/** A target that collects the tar file, and fails after a number of bytes. */
function memory(limit = Infinity): ExportTarget & { content: () => Buffer } {
  const parts: Buffer[] = [];
  let bytes = 0;
  return {
    write: (part) => {
      bytes += part.length;
      if (bytes > limit) return Promise.reject(new SystemError('full', 'ENOSPC'));
      parts.push(Buffer.from(part));
      return Promise.resolve();
    },
    finish: () => undefined,
    abandon: () => undefined,
    content: () => Buffer.concat(parts),
  };
}

async function* pieces(...texts: string[]): AsyncGenerator<Buffer, void> {
  for (const text of texts) yield await Promise.resolve(Buffer.from(text, 'latin1'));
}

const member = (name: string, more: Partial<Member> = {}): Member => ({
  ...{ name, type: 'file', mode: 0o4755, uid: 3_000_000, gid: 5, mtime: 1_500_000_000_123_456_789n },
  ...more,
});

exporting(
  'GNU tar reads what was written: long and hostile names, times, owners, links, devices, attributes',
  () =>
    whileTemporaryDirectory(async (directory) => {
      const target = memory();
      const tar = tarWriter(target);
      const long = `files/${'d'.repeat(200)}/${'ü\n'.repeat(40)}`;
      await tar.addFile(member(long), 7, pieces('abc', 'defg'));
      await tar.add(member('link', { type: 'symlink', linkname: `/${'x'.repeat(300)}` }));
      await tar.add(member('device', { type: 'character-device', device: '300:70000' }));
      await tar.add(member('directory', { type: 'directory', xattrs: new Map([['user.x', 'ä']]) }));
      await tar.add(member('fifo', { type: 'fifo', mtime: -5n }));
      await tar.end();
      const file = path.join(directory, 'x.tar');
      fs.writeFileSync(file, target.content());
      assert.is(tar.bytes, target.content().length + 1024);
      execFileSync('tar', ['--xattrs', '--xattrs-include=*', '-C', directory, '--same-owner', '-xpf', file], {
        stdio: 'ignore',
      });
      const stat = fs.lstatSync(path.join(directory, long), { bigint: true });
      assert.is(fs.readFileSync(path.join(directory, long), 'latin1'), 'abcdefg');
      assert.equal([stat.uid, stat.gid, stat.mtimeNs], [3_000_000n, 5n, 1_500_000_000_123_456_789n]);
      assert.is(fs.readlinkSync(path.join(directory, 'link')), `/${'x'.repeat(300)}`);
      assert.is(
        execFileSync('stat', ['-c', '%t %T', path.join(directory, 'device')]).toString(),
        '12c 11170\n',
      );
      assert.ok(fs.lstatSync(path.join(directory, 'fifo')).isFIFO());
      const attribute = execFileSync('getfattr', [
        '--only-values',
        '-n',
        'user.x',
        path.join(directory, 'directory'),
      ]);
      assert.is(attribute.toString(), 'ä');
    }),
);
exporting('a file that shrank is padded, one that grew is cut', async () => {
  const target = memory();
  const tar = tarWriter(target);
  const short = await tar.addFile(member('short'), 10, pieces('abc'));
  const long = await tar.addFile(member('long'), 4, pieces('abcdefgh'));
  await tar.end();
  assert.equal([short.bytes, long.bytes], [3, 4]);
  const read = (name: string) =>
    execFileSync('tar', ['-xO', name], { input: target.content() }).toString('latin1');
  assert.equal([read('short'), read('long')], ['abc\0\0\0\0\0\0\0', 'abcd']);
});
exporting('a full target is an error, and not a hang', async () => {
  const tar = tarWriter(memory(100_000));
  const big = async () => {
    for (let index = 0; index < 100; index++)
      await tar.addFile(member(`f${index}`), 65536, pieces('x'.repeat(65536)));
    await tar.end();
  };
  let code = '';
  await big().catch((error: unknown) => {
    code = error instanceof SystemError ? error.code : String(error);
  });
  assert.is(code, 'ENOSPC');
});
exporting('a socket is not in the tar file, and binary attributes are only in the manifest', () => {
  const entry = {
    ...{ type: 'socket' as const, mode: 0, uid: 0, gid: 0, size: 0, mtime: 0n, ctime: 0n, inode: 1n },
    ...{ device: '0:0' },
  };
  assert.is(memberOf('x', entry, undefined, new Map()), undefined);
  const attributes = new Map([
    ['security.capability', '\x01\xff'],
    ['security.selinux', 'var_t\0'],
  ]);
  assert.equal(
    [...(memberOf('x', { ...entry, type: 'file' }, undefined, attributes)?.xattrs ?? [])],
    [['security.selinux', 'var_t\0']],
  );
});
exporting('a long text is divided into parts, whose concatenation is the text', async () => {
  const target = memory();
  const tar = tarWriter(target);
  const parts = partsWriter(tar, 'journal', 'export', () => new Date(0));
  for (let index = 0; index < 10; index++) await parts.add(Buffer.alloc(1024 * 1024, index));
  const names = (await parts.end()).map((part) => part.member);
  await tar.end();
  assert.equal(names, ['journal/00001.export', 'journal/00002.export', 'journal/00003.export']);
  const all = execFileSync('tar', ['-xO', ...names], { input: target.content(), maxBuffer: 2 ** 25 });
  assert.is(all.length, 10 * 1024 * 1024);
  assert.ok(
    Array.from({ length: 10 }, (_, index) => all[index * 1024 * 1024]).every((byte, index) => byte === index),
  );
});
exporting.run();
