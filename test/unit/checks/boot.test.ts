import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Status } from '../../../agent/checks/check.ts';
import {
  type Change,
  all,
  config,
  edit,
  enforcingGuest,
  file,
  handoff,
  mount,
} from '../../harness/changes.ts';
import { findingOf, testChanges, testFindings } from '../../harness/finding.ts';
import { maintenanceGuest } from '../../harness/guest.ts';

testChanges('initramfs-hook', {
  'the hook did not run': [
    file('run/immutafs/boot.env', undefined),
    { 'initramfs-hook': 'warn' },
    'the hook did not run',
  ],
  'the hook is of another version': [
    handoff({ VERSION: '0.0.9' }),
    { 'initramfs-hook': 'warn' },
    'the hook of 0.0.9',
  ],
  'the boot record is damaged': [
    handoff({ MODE: 'nonsense' }),
    { 'initramfs-hook': 'error' },
    'MODE=nonsense is not one of',
  ],
});

testChanges('root-log', {
  ...Object.fromEntries(
    ['norecovery', 'noload', 'nologreplay', 'rescue=nologreplay'].map(
      (option): [string, [Change, Record<string, Status>, string]] => [
        `/ is mounted with ${option}`,
        [
          edit('root', ' ro,seclabel', ` ro,${option},seclabel`),
          { 'root-log': 'warn' },
          'log that was not replayed',
        ],
      ],
    ),
  ),
  'the lower layer is mounted with norecovery': [
    edit('lower', ' ro,seclabel', ' ro,norecovery,seclabel'),
    { 'root-log': 'warn' },
  ],
});

const id = 'random-seed';
const rng = (current: string | undefined) => file('sys/class/misc/hw_random/rng_current', current);
const seed = file('var/lib/systemd/random-seed', 'x');
const cpu = (line: string) => file('proc/cpuinfo', `processor\t: 0\n${line}\n\nprocessor\t: 1\n`);
const x86 = (flags: string) => cpu(`flags\t\t: fpu vme ${flags} sse`);
const argument =
  (text: string): Change =>
  (guest) => {
    guest.files['proc/cmdline'] = `root=/dev/vda ${text}\n`;
  };

testChanges(id, {
  'no source': [
    all(rng(undefined), seed),
    { [id]: 'warn' },
    'no random source; the seed is the same at every boot',
  ],
});

testFindings(id, {
  [id]: {
    'virtio-rng': [() => undefined, 'pass', 'virtio_rng.0'],
    'a list of generators of which none is current': [rng('none\n'), 'warn', 'there is no seed'],
    RDRAND: [all(rng(undefined), x86('rdrand')), 'pass', 'RDRAND'],
    'RDSEED, and virtio-rng': [x86('rdrand rdseed'), 'pass', 'virtio_rng.0 and RDSEED'],
    'RNDRRS of ARM': [all(rng(undefined), cpu('Features\t: fp asimd rng')), 'pass', 'RNDRRS'],
    'the name of another flag': [all(rng(undefined), x86('xrdrand rdrandx')), 'warn'],
    'RDRAND that the kernel does not trust': [
      all(rng(undefined), x86('rdrand'), argument('random.trust_cpu=off')),
      'warn',
      'no random source (RDRAND: random.trust_cpu=off)',
    ],
    'RDRAND that the kernel trusts': [
      all(rng(undefined), x86('rdrand'), argument('random.trust_cpu=on')),
      'pass',
    ],
    'a seed that is kept on a data disk': [
      all(rng(undefined), seed, mount('kept', '252:16 /s /var/lib/systemd rw,nosuid - xfs /dev/vdb rw')),
      'pass',
      'is kept across reboots',
    ],
    'a seed on a mount that is read-only': [
      all(rng(undefined), seed, mount('kept', '252:16 /s /var/lib/systemd ro,nosuid - xfs /dev/vdb rw')),
      'warn',
    ],
  },
});

/** Enables SELinux and makes a change. The labels of files do not matter in these tests. */
const relabelled = (change: Change): Change => all(file('sys/fs/selinux/enforce', '1'), change);

testChanges('autorelabel-absent', {
  '/.autorelabel exists': [
    all(enforcingGuest, file('.autorelabel', '')),
    { 'autorelabel-absent': 'fail', 'selinux-labels': 'pass', 'selinux-domain': 'pass' },
    '/.autorelabel exists',
  ],
  'the kernel argument requests a relabelling': [
    all(enforcingGuest, file('proc/cmdline', 'ro noresume autorelabel=1\n')),
    { 'autorelabel-absent': 'fail', 'selinux-labels': 'pass', 'selinux-domain': 'pass' },
    'kernel argument autorelabel=1',
  ],
});

testFindings('autorelabel-absent', {
  'autorelabel-absent': {
    'the file, with SELinux off': [
      file('.autorelabel', ''),
      'pass',
      'no effect, because SELinux is disabled',
    ],
    'the kernel argument without a value': [relabelled(file('proc/cmdline', 'ro autorelabel\n')), 'fail'],
    'the kernel argument autorelabel=0 also counts': [
      relabelled(file('proc/cmdline', 'ro autorelabel=0\n')),
      'fail',
      'autorelabel=0',
    ],
    'another argument': [relabelled(file('proc/cmdline', 'ro noautorelabel autorelabels\n')), 'pass'],
    'between quotes, where policycoreutils finds it': [
      relabelled(file('proc/cmdline', 'foo="bar autorelabel baz"\n')),
      'fail',
      'kernel argument foo=bar autorelabel baz',
    ],
  },
});

const maintenance = suite('autorelabel-absent in maintenance');
for (const [title, change] of Object.entries({
  'the file': relabelled(file('.autorelabel', '')),
  'the file, with a policy': all(enforcingGuest, file('.autorelabel', '')),
})) {
  maintenance(`${title}: only a warning`, async () => {
    const { status } = await findingOf('autorelabel-absent', change, { guest: maintenanceGuest() });
    assert.is(status, 'warn');
  });
}
maintenance.run();

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
