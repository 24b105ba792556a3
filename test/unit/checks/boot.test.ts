import { all, config, edit, file, handoff, mount } from '../../harness/changes.ts';
import { inEach, testChanges, testFindings } from '../../harness/finding.ts';
import { maintenanceGuest } from '../../harness/guest.ts';

testChanges('initramfs-hook', {
  'the hook did not run': [file('run/immutafs/boot.env', undefined), 'warn: the hook did not run'],
  'the hook is of another version': [handoff({ VERSION: '0.0.9' }), 'warn: the hook of 0.0.9'],
  'the boot record is damaged': [handoff({ MODE: 'nonsense' }), 'error: MODE=nonsense is not one of'],
});

testChanges('root-log', {
  ...inEach(
    [
      ...['norecovery', 'noload', 'nologreplay', 'rescue=nologreplay', 'rescue=all', 'rescue=all:x'],
      'rescue=usebackuproot:nologreplay',
    ],
    (option) => [edit('root', ' ro,seclabel', ` ro,${option},seclabel`), 'warn: log that was not replayed'],
  ),
  'the lower layer is mounted with norecovery': [
    edit('lower', ' ro,seclabel', ' ro,norecovery,seclabel'),
    'warn',
  ],
});

const cmdline = (words: string) => file('proc/cmdline', `root=/dev/mapper/rhel-root ro ${words}\n`);

const cloudInit = file('usr/lib/systemd/system/cloud-init.service', '[Service]\n');
const generated = (text: string) => file('run/systemd/generator.early/cloud-init.service', text);
const disabled = file('etc/cloud/cloud-init.disabled', '');

testFindings('provisioning-off', {
  'no provisioning unit': [config(''), 'pass: disabled'],
  'a unit that is not masked': [cloudInit, 'fail: cloud-init.service can run'],
  'a template of Afterburn': [
    file('usr/lib/systemd/system/afterburn-sshkeys@.service', '[Service]\n'),
    'fail: afterburn-sshkeys@.service can run',
  ],
  'masked by the generator': [cloudInit, generated(''), 'pass'],
  'overridden by another generator': [cloudInit, generated('[Service]\n'), 'fail'],
  'masked by an administrator': [
    cloudInit,
    file('etc/systemd/system/cloud-init.service', { linkTo: '/dev/null' }),
    'pass',
  ],
  'disabled by its file': [cloudInit, disabled, 'pass'],
  'disabled by its file, enabled by the kernel command line': [
    all(cloudInit, disabled, cmdline('noresume cloud-init=enabled')),
    'fail',
  ],
  'cloud-init ran': [file('run/cloud-init/result.json', '{}'), 'fail: cloud-init ran in this boot'],
  'Ignition is enabled': [cmdline('noresume ignition.firstboot ignition.platform.id=metal'), 'fail'],
  'images on a writable disk': [
    mount('images', '252:17 / /var/lib/extensions rw,relatime shared:41 - xfs /dev/vdb1 rw'),
    'fail: /var/lib/extensions is on /var/lib/extensions, which is writable',
  ],
  'images on a tmpfs': [
    mount('images', '0:61 / /var/lib/extensions rw,relatime shared:41 - tmpfs tmpfs rw'),
    'pass',
  ],
});

testChanges('rivals-off', {
  'rhel-readonly is on': [
    file('etc/sysconfig/readonly-root', '# x\nREADONLY=no\nREADONLY="yes" # y\n'),
    'fail: READONLY=yes in /etc/sysconfig/readonly-root',
  ],
  'its temporary state is on': [file('etc/sysconfig/readonly-root', 'TEMPORARY_STATE=yes\n'), 'fail'],
  'rhel-readonly is off': [
    file('etc/sysconfig/readonly-root', 'READONLY=yes\nREADONLY=no\n#READONLY=yes\n'),
    {},
  ],
  'overlayroot is on': [
    file('etc/overlayroot.conf', 'overlayroot_cfgdisk="disabled"\noverlayroot="tmpfs:recurse=0"\n'),
    'fail: overlayroot=tmpfs',
  ],
  'overlayroot is off by the kernel argument': [
    file('etc/overlayroot.conf', 'overlayroot="tmpfs"\n'),
    file('proc/cmdline', 'ro noresume overlayroot=disabled\n'),
    {},
  ],
  ...inEach(
    [
      ...['readonlyroot', 'overlayroot=tmpfs', 'systemd.volatile=yes', 'systemd.volatile'],
      ...['rd.live.overlay.overlayfs=1', 'rd.overlay', 'lockfs', 'rd.overlayfs', 'fsprotect', 'rd.overlay=1'],
      'systemd.volatile=state',
    ],
    (word) => [file('proc/cmdline', `ro noresume ${word} quiet\n`), `fail: kernel argument ${word}`],
  ),
  'systemd.volatile=no': [file('proc/cmdline', 'ro noresume systemd.volatile=no xoverlayroot=1\n'), {}],
});

testFindings('rivals-off', {
  'between quotes': [file('proc/cmdline', 'x="a systemd.volatile=yes b"\n'), 'pass'],
  '/ is an overlay': [edit('root', '- xfs', '- overlay'), 'fail: / is an overlay'],
});

testFindings(
  'rivals-off: in maintenance',
  {
    'another overlay program': [file('proc/cmdline', 'readonlyroot\n'), 'fail'],
  },
  { guest: maintenanceGuest },
);
