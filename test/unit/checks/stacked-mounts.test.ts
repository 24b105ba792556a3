import { type Change, all, mount } from '../../harness/changes.ts';
import { testChanges, testFindings } from '../../harness/finding.ts';

testChanges('stacked-mounts', {
  'a second mount on /home with the same options': [
    mount('over', '0:60 / /home rw,noexec,nosuid,nodev - tmpfs evil rw'),
    { 'stacked-mounts': 'fail', 'fstab-consistent': 'pass' },
    '/home is tmpfs (evil); hidden: xfs (/dev/vdb)',
  ],
  'a second mount on /': [
    mount('over', '0:60 / / ro - tmpfs evil ro'),
    { 'stacked-mounts': 'fail', 'kernel-view': 'pass' },
    '/ is xfs (/dev/mapper/rhel-root); hidden: tmpfs (evil)',
  ],
  'a directory bound over itself, below the mount over both': [
    ({ mounts }) => {
      const home = mounts['home'] ?? '';
      delete mounts['home'];
      mounts['itself'] = '253:0 /home /home ro,relatime shared:40 - xfs /dev/mapper/rhel-root rw';
      mounts['home'] = home;
    },
    {},
  ],
  'another directory of the root below the mount': [
    ({ mounts }) => {
      const home = mounts['home'] ?? '';
      delete mounts['home'];
      mounts['other'] = '253:0 /srv /home ro,relatime shared:40 - xfs /dev/mapper/rhel-root rw';
      mounts['home'] = home;
    },
    { 'stacked-mounts': 'fail' },
    '/home is xfs (/dev/vdb); hidden: xfs (/dev/mapper/rhel-root)',
  ],
  'an automount point below its own mount': [
    ({ mounts }) => {
      const home = mounts['home'] ?? '';
      delete mounts['home'];
      mounts['auto'] = '0:61 / /home rw,noexec,nosuid,nodev - autofs systemd-1 rw';
      mounts['home'] = home;
    },
    {},
  ],
  'a second mount elsewhere': [
    all(
      mount('one', '0:60 / /mnt ro,noexec - tmpfs a ro'),
      mount('two', '0:61 / /mnt ro,noexec - tmpfs b ro'),
    ),
    {},
  ],
});

const over = (target: string) => mount('over', `0:60 / ${target} rw - tmpfs evil rw`);
const withLine =
  (line: string): Change =>
  ({ files }) => {
    const fstab = files['etc/fstab'];
    if (typeof fstab === 'string') files['etc/fstab'] = `${fstab}${line}\n`;
  };
/** A file of the root file system, bound over another. */
const bound = (root: string, target: string) =>
  mount('over', `253:0 ${root} ${target} ro - xfs /dev/mapper/rhel-root ro`);

testFindings('stacked-mounts: inputs of the agent', {
  'stacked-mounts': {
    ...Object.fromEntries(
      [
        ...['/run/udev/data', '/etc/passwd', '/etc/pki/tls', '/usr', '/usr/libexec', '/usr/libexec/immutafs'],
        ...['/usr/bin/journalctl', '/usr/lib64/libc.so.6', '/run/systemd', '/run/immutafs/boot.env'],
      ].map((target) => [target, [over(target), 'fail', `${target} is tmpfs (evil), not what was sealed`]]),
    ),
    'another program of the sealed disk over read-mappings': [
      bound('/usr/bin/true', '/usr/libexec/immutafs/read-mappings'),
      'fail',
    ],
    'another program of the sealed disk over try-write': [
      bound('/usr/bin/true', '/usr/libexec/immutafs/try-write'),
      'fail',
    ],
    'a directory of programs that is bound over itself': [bound('/usr/libexec', '/usr/libexec'), 'pass'],
    'a directory that has no inputs, outside of /usr and /etc': [over('/srv/data'), 'pass'],
    'a mount that fstab names': [
      all(over('/usr/lib/debug'), withLine('evil /usr/lib/debug tmpfs rw 0 0')),
      'pass',
    ],
    '/usr of another disk, which fstab names': [
      all(mount('usr', '252:16 / /usr ro - xfs /dev/vdb ro'), withLine('/dev/vdb /usr xfs ro 0 0')),
      'pass',
    ],
    '/usr of another disk': [mount('usr', '252:16 / /usr ro - xfs /dev/vdb ro'), 'fail'],
  },
});
