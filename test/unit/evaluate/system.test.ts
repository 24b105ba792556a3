/** Tests the boundaries of each condition, with a case on either side of each boundary. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { SystemReader } from '../../../agent/system/reader.ts';
import { all, config, file, handoff, nothing, mount } from '../../harness/changes.ts';
import { findingOf, inEach, testFindings } from '../../harness/finding.ts';

const unknownKeys = (count: number) => config('X=1\n'.repeat(count));

testFindings('limits', {
  'kernel-view': {
    ...inEach(
      [
        ...['/proc/self', '/proc/thread-self', '/proc/cmdline', '/proc/swaps', '/proc/filesystems'],
        ...['/proc/1', '/proc/sys', '/proc/sys/kernel', '/proc/sys/kernel/modules_disabled'],
        ...['/sys/block', '/sys/bus', '/sys/class/block', '/sys/dev', '/sys/devices/x', '/sys/module'],
        ...['/sys/fs/btrfs/1-2'],
      ],
      (target) => [
        mount('over', `0:60 / ${target} ro - tmpfs evil ro`),
        'error',
        `tmpfs is mounted over ${target}`,
      ],
    ),
    ...inEach(['/proc/sysx', '/proc/fs/nfsd', '/sys/fs/cgroup', '/sys/kernel/debug', '/sysx'], (target) => [
      mount('beside', `0:60 / ${target} ro - tmpfs other ro`),
      'pass',
    ]),
  },
  'config-valid': {
    'ten lines are named': [unknownKeys(10), 'fail', /^(?!.*more).*conf:10: X: unknown key[^;]*$/],
    'of eleven lines, ten are named and one is counted': [
      unknownKeys(11),
      'fail',
      /conf:10: X: [^;]*; and 1 more$/,
    ],
  },
  'mtab-link': {
    ...inEach(['/proc/self/mounts', '../proc/self/mounts', '../proc/mounts'], (linkTo) => [
      file('etc/mtab', { linkTo }),
      'pass',
    ]),
    ...inEach(
      ['/proc/self/mounts/x', '/proc/self/mountsx', '/run/proc/mounts', '../../proc/mounts'],
      (linkTo) => [file('etc/mtab', { linkTo }), 'fail'],
    ),
  },
  'rivals-off': {
    'overlayroot in the local file': [
      file('etc/overlayroot.local.conf', 'overlayroot="tmpfs"\n'),
      'fail',
      'overlayroot=tmpfs',
    ],
    'overlayroot disabled in the local file': [
      all(
        file('etc/overlayroot.conf', 'overlayroot="tmpfs"\n'),
        file('etc/overlayroot.local.conf', 'overlayroot="disabled"\n'),
      ),
      'pass',
    ],
    ...inEach(['rd.overlayfs', 'fsprotect', 'rd.overlay=1', 'systemd.volatile=state'], (word) => [
      file('proc/cmdline', `ro ${word}\n`),
      'fail',
      `kernel argument ${word}`,
    ]),
    ...inEach(['rd.overlay=0', 'lockfs=off', 'xfsprotect', 'rd.overlayfsx'], (word) => [
      file('proc/cmdline', `ro ${word}\n`),
      'pass',
    ]),
  },
  'selinux-labels': {
    ...inEach(['a:b:var_t:s0\n', 'a:b:var_t:s0\n?\n', 'a:b:var_t:s0\na:b:tmp_t:s0\na:b:c:s0\n'], (labels) => [
      all(file('sys/fs/selinux/enforce', '1'), ({ answers }) => {
        answers.labels = labels;
      }),
      'error',
      'did not return a label for each of /var /tmp',
    ]),
  },
  'initramfs-hook': {
    'late boot decided the mode': [
      handoff({ STAGE: 'late' }),
      'warn',
      'the hook did not run: late boot decided the mode',
    ],
  },
});

const others = suite('limits: failing calls');
others('a target without a clear result does not hide a target that was written to', async () => {
  const as = (reader: SystemReader): SystemReader => ({
    ...reader,
    tryWrites: (directories) =>
      Promise.resolve(directories.map((directory) => (directory === '/' ? 'EIO' : 'OK'))),
  });
  const { status, observed } = await findingOf('root-write-probe', nothing, { as });
  assert.equal([status, observed], ['fail', 'the write was accepted']);
});
others('footholds are unknown if the disks cannot be read', async () => {
  const as = (reader: SystemReader): SystemReader => ({
    ...reader,
    read: (name, limit) => {
      if (name.endsWith('/ro')) throw new Error('not now');
      return reader.read(name, limit);
    },
  });
  const { status, observed } = await findingOf('footholds', nothing, { as });
  assert.equal([status, observed], ['error', 'not now']);
});
others('labels are unknown if stat(1) fails', async () => {
  const stdout = 'a:b:var_t:s0\na:b:tmp_t:s0\n';
  for (const [ended, expected] of [
    ['good', 'pass'],
    ['bad', 'error'],
    ['deadline', 'error'],
  ] as const) {
    const as = (reader: SystemReader): SystemReader => ({
      ...reader,
      run: () => Promise.resolve({ stdout, ended }),
    });
    const { status } = await findingOf('selinux-labels', file('sys/fs/selinux/enforce', '1'), { as });
    assert.is(status, expected, ended);
  }
});
others.run();
