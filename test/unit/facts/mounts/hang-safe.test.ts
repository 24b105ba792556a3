import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hangSafe, mayHangCode } from '../../../../agent/facts/mounts/hang-safe.ts';
import { mountTable } from '../../../../agent/facts/mounts/mountinfo.ts';
import { SystemError } from '../../../../agent/lib/errors.ts';
import { type SystemReader, systemReader } from '../../../../agent/system/reader.ts';
import { inDirectories, inTemporaryDirectory, writeFiles } from '../../../harness/temporary.ts';
import { findNamespaceProblems } from '../../../../agent/facts/mounts/namespace-check.ts';

const tableWith = (type: string) =>
  mountTable(`1 0 252:1 / / rw - xfs /dev/vda1 rw\n2 1 0:60 / /srv rw - ${type} server:/x rw\n`);

/** Every synchronous method of the reader that accesses a file. */
const calls: Record<string, (reader: SystemReader, file: string) => unknown> = {
  read: (reader, file) => reader.read(file),
  readIfPresent: (reader, file) => reader.readIfPresent(file),
  readRecord: (reader, file) => reader.readRecord(file, 'directory'),
  readAt: (reader, file) => reader.readAt(file, 0, 1),
  pieces: (reader, file) => [...reader.pieces(file)],
  list: (reader, file) => reader.list(file),
  hasEntries: (reader, file) => reader.hasEntries(file),
  link: (reader, file) => reader.link(file),
  resolve: (reader, file) => reader.resolve(file),
  stat: (reader, file) => reader.stat(file),
  usage: (reader, file) => reader.usage(file),
};

/** Returns the code of the error that a call throws, or undefined. */
function errorOf(call: () => unknown): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    assert.instance(error, SystemError);
    return (error as SystemError).code;
  }
}

const safe = suite('hangSafe');
const safeIn = inDirectories(safe);
for (const [name, call] of Object.entries(calls)) {
  safeIn(`${name}: no access to a file system that may hang`, (root) => {
    writeFiles(root, { 'srv/a': 'x', link: { linkTo: 'srv' } });
    const reader = hangSafe(systemReader({ root }), tableWith('nfs4'));
    for (const file of ['/srv/a', '/link/a']) {
      assert.is(
        errorOf(() => call(reader, file)),
        mayHangCode,
        file,
      );
    }
  });

  safeIn(`${name}: passed on for another file system, and beside the mount`, (root) => {
    writeFiles(root, { 'srv/a': 'x', 'srvx/a': 'x', link: { linkTo: 'srv' } });
    for (const [type, file] of [
      ['tmpfs', '/srv/a'],
      ['tmpfs', '/link/a'],
      ['nfs4', '/srvx/a'],
    ] as const) {
      const reader = hangSafe(systemReader({ root }), tableWith(type));
      assert.is.not(
        errorOf(() => call(reader, file)),
        mayHangCode,
        file,
      );
    }
  });
}

safeIn('the message names the file, the mount and the link', (root) => {
  writeFiles(root, { 'srv/a': 'x', link: { linkTo: 'srv' } });
  const reader = hangSafe(systemReader({ root }), tableWith('nfs4'));
  assert.throws(() => reader.read('/srv/a'), /^\/srv\/a: not accessed, because nfs4 at \/srv may hang$/);
  assert.throws(
    () => reader.read('/link/a'),
    /^\/link\/a: not accessed, because nfs4 at \/srv may hang \(reached through a symbolic link\)$/,
  );
});
safe.run();

const view = suite('namespace check');
view('a mount table without "/" is a chroot, even if PID 1 has no mount there', () => {
  inTemporaryDirectory((root) => {
    const mountinfo = '61 60 253:0 / /x ro - xfs /dev/sda1 ro\n';
    writeFiles(root, {
      'proc/1/mountinfo': mountinfo,
      'proc/self/ns/pid': { linkTo: 'pid:[4026531836]' },
      'proc/self/ns/user': { linkTo: 'user:[4026531837]' },
    });
    const problems = findNamespaceProblems(systemReader({ root }), mountTable(mountinfo));
    assert.is(problems.at(-1), 'another mount namespace or another root than those of PID 1');
  });
});
view.run();
