import { all, disk, mount } from '../../harness/changes.ts';
import { testFindings } from '../../harness/finding.ts';

testFindings('findFootholds', {
  footholds: {
    'a disk that is read-only only by its flag': [
      all(disk({ offered: false, readOnly: true }), mount('srv', '252:1 / /srv rw - xfs a rw')),
      'warn',
      '/srv: xfs, writable, executable, outlives a reboot',
    ],
    'an overlay without an upper layer': [mount('c', '0:60 / /mnt rw - overlay o rw,lowerdir=/a:/b'), 'pass'],
    'an overlay whose upper layer is unknown': [
      mount('c', '0:60 / /mnt rw - overlay o rw,lowerdir=/a,upperdir=u,workdir=w'),
      'warn',
    ],
    'an overlay whose upper layer is below itself': [
      mount('c', '0:60 / /mnt rw - overlay o rw,lowerdir=/a,upperdir=/mnt/u,workdir=/mnt/w'),
      'warn',
    ],
    'a cycle of overlays': [
      all(
        mount('a', '0:60 / /a rw - overlay o rw,lowerdir=/x,upperdir=/b/u,workdir=/b/w'),
        mount('b', '0:61 / /b rw - overlay o rw,lowerdir=/x,upperdir=/a/u,workdir=/a/w'),
      ),
      'warn',
    ],
    'variables of the firmware, which are not executable': [
      mount('efi', '0:60 / /sys/firmware/efi/efivars rw - efivarfs efivarfs rw'),
      'pass',
      'writable and persistent: 2',
    ],
    'a mount in memory over one on a sealed disk': [
      all(
        mount('below', '252:1 / /srv rw,noexec - xfs /dev/vda1 rw'),
        mount('over', '252:16 / /srv rw - xfs /dev/vdb rw'),
      ),
      'warn',
      '/srv: xfs, writable, executable, outlives a reboot',
    ],
  },
});
