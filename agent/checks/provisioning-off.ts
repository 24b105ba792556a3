import type { AssessedFacts } from '../assess/assess.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/** Verifies that no program configures this guest at boot from data on a writable disk. */
export const provisioningOff: Check = {
  id: 'provisioning-off',
  severity: 'required',
  seal: true,
  messageId: 'd415f8942cb841dca82b5701f5eda6e7',
  documentation: {
    title: 'this guest is not configured at boot from a writable disk',
    means:
      'Every installed unit of cloud-init (RHEL 7 to 10) and Afterburn (RHEL CoreOS) is masked, or cloud-init is disabled. cloud-init has not written a result to /run in this boot. With SEED=host, the units of cloud-init are not masked but start only if the boot has accepted a seed that the host made read-only (seed-genuine). ignition.firstboot is not on the kernel command line. No directory from which systemd merges or attaches images (/var/lib/extensions, /var/lib/confexts, /var/lib/portables, /var/lib/machines and the directories of these names in /etc; RHEL 9 and 10) is on a writable file system that outlives a reboot.',
    why: 'These programs run as root at boot. An attacker who creates a file system with the label cidata on a data disk, or stores an image in such a directory, becomes root again in the next boot.',
    fix: 'A sealed boot masks the units; if a unit is not masked, immutafs-generator did not run (see systemctl status and the journal). While the disk is writable: immutafs-agent prepare --apply --only boot, which writes /etc/cloud/cloud-init.disabled. Remove ignition.firstboot from the kernel command line. Keep images on the sealed disk.',
    page: 'threat-model.md',
  },
  evaluate: (facts) => {
    const { units, ran } = unwrap(facts.provisioning);
    const problems = [
      ...units.map((unit) => `${unit} can run`),
      ...(acceptsSeed(facts) ? [] : ran).map((file) => `${file} exists: cloud-init ran in this boot`),
      ...facts.kernelArgument
        .filter((word) => /^ignition\.firstboot(=1)?$/.test(word))
        .map((word) => `kernel argument ${word}`),
      ...imageDirectories(facts),
    ];
    const subject = 'provisioning';
    const expected = 'disabled';
    if (problems.length === 0) return { status: 'pass', subject, expected, observed: expected };
    const remedy =
      'While the disk is writable: immutafs-agent prepare --apply --only boot. Keep images for systemd on the sealed disk.';
    return { status: 'fail', subject, expected, observed: problems.join('; '), remedy };
  },
};

/** Whether cloud-init may have run: seed-genuine verifies that it used the host's seed. */
function acceptsSeed({ config, bootEnv }: AssessedFacts): boolean {
  return config.SEED === 'host' && unwrap(bootEnv)?.seed?.state === 'accepted';
}

/** systemd-sysext(8), portablectl(1), systemd-nspawn(1). */
const directories = ['extensions', 'confexts', 'portables', 'machines'].flatMap((name) => [
  `/var/lib/${name}`,
  `/etc/${name}`,
]);

function imageDirectories(facts: AssessedFacts): string[] {
  unwrap(facts.disks);
  const persistent = new Set(
    unwrap(facts.footholds)
      .filter((each) => each.persistent)
      .map(({ target }) => target),
  );
  return directories.flatMap((directory) => {
    const target = facts.mounts.serving(directory)?.target;
    // var-overlay verifies /var itself, and root-readonly verifies /.
    if (target === undefined || ['/', '/var', '/etc'].includes(target) || !persistent.has(target)) return [];
    return [`${directory} is on ${target}, which is writable and persistent`];
  });
}
