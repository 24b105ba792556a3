import { all, config, file, mount } from '../../harness/changes.ts';
import { testFindings } from '../../harness/finding.ts';

const cmdline = (words: string) => file('proc/cmdline', `root=/dev/mapper/rhel-root ro ${words}\n`);

testFindings('provisioning-off', {
  'provisioning-off': {
    'no provisioning unit': [config(''), 'pass', 'disabled'],
    'a unit that is not masked': [
      file('usr/lib/systemd/system/cloud-init.service', '[Service]\n'),
      'fail',
      'cloud-init.service can run',
    ],
    'a template of Afterburn': [
      file('usr/lib/systemd/system/afterburn-sshkeys@.service', '[Service]\n'),
      'fail',
      'afterburn-sshkeys@.service can run',
    ],
    'masked by the generator': [
      all(
        file('usr/lib/systemd/system/cloud-init.service', '[Service]\n'),
        file('run/systemd/generator.early/cloud-init.service', ''),
      ),
      'pass',
    ],
    'overridden by another generator': [
      all(
        file('usr/lib/systemd/system/cloud-init.service', '[Service]\n'),
        file('run/systemd/generator.early/cloud-init.service', '[Service]\n'),
      ),
      'fail',
    ],
    'masked by an administrator': [
      all(
        file('usr/lib/systemd/system/cloud-init.service', '[Service]\n'),
        file('etc/systemd/system/cloud-init.service', { linkTo: '/dev/null' }),
      ),
      'pass',
    ],
    'disabled by its file': [
      all(
        file('usr/lib/systemd/system/cloud-init.service', '[Service]\n'),
        file('etc/cloud/cloud-init.disabled', ''),
      ),
      'pass',
    ],
    'disabled by its file, enabled by the kernel command line': [
      all(
        file('usr/lib/systemd/system/cloud-init.service', '[Service]\n'),
        file('etc/cloud/cloud-init.disabled', ''),
        cmdline('noresume cloud-init=enabled'),
      ),
      'fail',
    ],
    'cloud-init ran': [file('run/cloud-init/result.json', '{}'), 'fail', 'cloud-init ran in this boot'],
    'Ignition is enabled': [cmdline('noresume ignition.firstboot ignition.platform.id=metal'), 'fail'],
    'images on a writable disk': [
      mount('images', '252:17 / /var/lib/extensions rw,relatime shared:41 - xfs /dev/vdb1 rw'),
      'fail',
      '/var/lib/extensions is on /var/lib/extensions, which is writable',
    ],
    'images on a tmpfs': [
      mount('images', '0:61 / /var/lib/extensions rw,relatime shared:41 - tmpfs tmpfs rw'),
      'pass',
    ],
  },
});
