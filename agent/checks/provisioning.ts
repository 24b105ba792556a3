import { unwrap } from '../facts/observed.ts';
import { type Check, judge } from './check.ts';
import type { AssessedFacts } from '../assess/assess.ts';

export const provisioningOff: Check = {
  id: 'provisioning-off',
  seal: true,
  messageId: 'd415f8942cb841dca82b5701f5eda6e7',
  subject: 'provisioning',
  expected: 'disabled',
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
    return judge(
      problems,
      'disabled',
      'While the disk is writable: immutafs-agent prepare --apply --only boot. Keep images for systemd on the sealed disk.',
    );
  },
};

/** Whether cloud-init may have run: seed-genuine verifies that it used the host's seed. */
function acceptsSeed({ config, bootEnv }: AssessedFacts): boolean {
  if (config.SEED !== 'host') return false;
  const state = unwrap(bootEnv)?.seed?.state;
  return state === 'accepted' || state === 'incomplete';
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
