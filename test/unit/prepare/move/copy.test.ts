import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { reason } from '../../../../agent/prepare/move/copy.ts';

const failures = suite('why a copy failed');

failures('the first messages of rsync, each once, and the exit code', () => {
  const stderr = 'rsync: a\nrsync: a\nrsync: b\nrsync error: some files (code 23)\n';
  assert.is(reason({ stderr, exit: 23, late: false }), 'rsync: a; rsync: b (exit code 23)');
});

failures('the time limit', () => {
  assert.is(
    reason({ stderr: '', exit: null, late: true }),
    'rsync gave no reason (the time limit was reached)',
  );
});

failures('a file without an SELinux label: the message says how to give it one', () => {
  const stderr =
    'rsync: [receiver] rsync_xal_set: fremovexattr("/run/new/a","security.selinux") failed: Permission denied (13)\n';
  assert.match(
    reason({ stderr, exit: 23, late: false }),
    /\(exit code 23\)\. .*restorecon\(8\), and try again$/,
  );
});

failures('another attribute that cannot be removed has nothing to do with labels', () => {
  const stderr =
    'rsync: [receiver] rsync_xal_set: fremovexattr("/run/new/a","user.note") failed: Permission denied (13)\n';
  assert.not.match(reason({ stderr, exit: 23, late: false }), /restorecon/);
});

failures.run();
