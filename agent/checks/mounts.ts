import type { AssessedFacts } from '../assess/assess.ts';
import { requiredOptions } from '../facts/mounts/targets.ts';
import { words } from '../config/config.ts';
import { shortList } from '../lib/format.ts';
import { coversInput } from '../facts/inputs.ts';
import type { Mount } from '../facts/mounts/mountinfo.ts';
import { unwrap, valueOf } from '../facts/observed.ts';
import { isBoundOnItself } from '../assess/mount-origin.ts';
import type { UnexplainedMount } from '../assess/unexplained-mounts.ts';
import type { Check } from './check.ts';

export const stackedMounts: Check = {
  id: 'stacked-mounts',
  messageId: '42764ab9e90d489299e76d121fe62a37',
  expected: 'one mount at a mount point',
  evaluate: (facts) => {
    const stacks = [...targetsOf(facts).flatMap((target) => stackAt(facts, target)), ...coveredInputs(facts)];
    const known = new Set(stacks.map(({ target }) => target));
    const unexplained = unwrap(facts.unexplainedMounts).filter(({ mount }) => !known.has(mount.target));
    const found = [...stacks, ...unexplained.map(describeUnexplained)];
    const [first] = found;
    if (first === undefined) return { status: 'pass', observed: 'no hidden mount' };
    const isFailed = stacks.length > 0 || unexplained.some(({ startsPrograms }) => startsPrograms);
    return {
      status: isFailed ? 'fail' : 'warn',
      subject: shortList(found.map(({ target }) => target)),
      observed: shortList(
        found.map(({ text }) => text),
        '; ',
      ),
      remedy:
        stacks.length > 0
          ? `Find out which process mounted over ${first.target}, and reboot.`
          : `Find out which process mounted ${first.target}, and reboot. If the guest needs this mount, add it to /etc/fstab while the disk is writable.`,
    };
  },
};

function describeUnexplained({ mount }: UnexplainedMount): { target: string; text: string } {
  const { target } = mount;
  return { target, text: `${target} is ${name(mount)}, which neither fstab nor the boot mounted` };
}

const always = ['/', '/var', '/run', '/run/var', '/proc', '/sys', '/dev', '/etc', '/usr', '/run/immutafs'];

function targetsOf({ config, layers, overlays, fstab }: AssessedFacts): string[] {
  const required = requiredOptions(config).map(({ target }) => target);
  const all = [
    ...always,
    ...words(config.REQUIRE_READONLY),
    ...required,
    ...(valueOf(fstab)?.lines ?? [])
      .filter(({ target, options }) => target.startsWith('/') && !options.includes('noauto'))
      .map(({ target }) => target),
    ...layers.flatMap(({ target, lower, upper }) => [target, lower, upper]),
    ...unwrap(overlays).flatMap(({ target, lower, upper }) => (lower ? [target, lower.view, upper] : [])),
  ];
  return [...new Set(all)];
}

function stackAt(facts: AssessedFacts, target: string): { target: string; text: string }[] {
  const seen = facts.mounts.serving(target);
  const others = facts.mounts
    .at(target)
    .filter((mount) => mount !== seen && !['autofs', 'rootfs'].includes(mount.type))
    .filter((mount) => !isBoundOnItself(mount, facts.mounts.serving('/')));
  if (others.length === 0 || seen === undefined) return [];
  return [{ target, text: `${target} is ${name(seen)}; hidden: ${shortList(others.map(name), ', ')}` }];
}

/** Returns the mounts over inputs of the agent that the table of mounts does not permit there. */
function coveredInputs({
  mounts: { all, hidden },
  permittedMounts,
}: AssessedFacts): { target: string; text: string }[] {
  const permitted = unwrap(permittedMounts);
  return all
    .filter(({ target }) => ['/etc', '/usr'].includes(target) || coversInput(target))
    .filter((mount) => !hidden.has(mount) && permitted.reasonFor(mount, 'input') === undefined)
    .map((mount) => ({
      target: mount.target,
      text: `${mount.target} is ${name(mount)}, not what was sealed`,
    }));
}

function name({ type, source }: Mount): string {
  return `${type} (${source})`;
}

export const persistentMounts: Check = {
  id: 'persistent-mounts',
  seal: true,
  messageId: '86ab03969b8c48d297224d311dd2c956',
  subject: 'mounts',
  expected: 'on a disk that the host made read-only, or declared as data',
  evaluate: (facts) => {
    unwrap(facts.disks);
    unwrap(facts.scratchDevice);
    const found = unwrap(facts.undeclaredMounts);
    const [first] = found;
    const data = unwrap(facts.dataMounts);
    if (first === undefined) {
      const targets = [...new Set(data.map(({ target }) => target))];
      return { status: 'pass', observed: data.length === 0 ? 'no data' : `data: ${shortList(targets)}` };
    }
    const described = found.map(({ mount, reason }) => `${mount.target} is ${name(mount)}: ${reason}`);
    return {
      status: 'fail',
      subject: shortList([...new Set(found.map(({ mount }) => mount.target))]),
      observed: shortList(described, '; '),
      remedy: first.remedy,
    };
  },
};

export const mountsGenuine: Check = {
  id: 'mounts-genuine',
  messageId: 'd2815d124809416ca8806807ea8f7793',
  expected: 'mounted from the sealed disk',
  evaluate: (facts) => {
    const foreign = unwrap(facts.foreignMounts);
    const [first] = foreign;
    if (first === undefined) return { status: 'pass', observed: 'no impostor is mounted' };
    const described = foreign.map(
      ({ target, device, sealedDevice, identity }) =>
        `${target === '/' ? 'the system runs' : `${target} is mounted`} from the impostor ${device}: ${identity} is on the sealed ${sealedDevice}`,
    );
    return {
      status: 'fail',
      subject: foreign.map(({ target }) => target).join(' '),
      observed: described.join('; '),
      remedy: `Power the guest off in the host, detach the disk of ${first.device}, keep it as evidence, and start the guest from its sealed disk.`,
    };
  },
};
