import { all, mount } from '../../harness/changes.ts';
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
  'a folder bound over itself, below the mount over both': [
    ({ mounts }) => {
      const home = mounts['home'] ?? '';
      delete mounts['home'];
      mounts['itself'] = '253:0 /home /home ro,relatime shared:40 - xfs /dev/mapper/rhel-root rw';
      mounts['home'] = home;
    },
    {},
  ],
  'another folder of the root below the mount': [
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

testFindings('stacked-mounts', {
  'stacked-mounts': {
    'a second mount over /tmp': [
      mount('over', '0:50 / /tmp rw,noexec,nosuid,nodev - tmpfs other rw'),
      'fail',
      '/tmp is tmpfs (other); hidden: tmpfs (tmpfs)',
    ],
    'a second mount elsewhere is ignored': [
      all(mount('one', '0:50 / /mnt ro - tmpfs one ro'), mount('two', '0:51 / /mnt ro - tmpfs two ro')),
      'pass',
    ],
  },
});

testFindings('stacked-mounts: inputs of the agent', {
  'stacked-mounts': {
    'another database of udev': [
      mount('over', '0:60 / /run/udev/data rw - tmpfs evil rw'),
      'fail',
      '/run/udev/data is tmpfs (evil), not what was sealed',
    ],
  },
});
