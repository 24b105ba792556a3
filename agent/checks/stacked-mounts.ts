import path from 'node:path';
import type { AssessedFacts } from '../assess/assess.ts';
import { requiredOptions } from '../facts/mounts/targets.ts';
import { words } from '../config/config.ts';
import { shortList } from '../lib/format.ts';
import { bootEnvFile } from '../facts/boot/boot-env.ts';
import { reportFile } from '../facts/last-report.ts';
import { type Mount, isBelow } from '../facts/mounts/mountinfo.ts';
import type { Check } from './check.ts';

/** Where the seal depends on what is mounted, nothing is mounted over it. */
export const stackedMounts: Check = {
  id: 'stacked-mounts',
  severity: 'required',
  seal: false,
  messageId: '42764ab9e90d489299e76d121fe62a37',
  documentation: {
    title: 'no mount hides another where the seal depends on it',
    means:
      "At /, /var, /run, /proc, /sys, /dev, /etc and /usr, at the layers of /var, at every target of REQUIRE_READONLY and REQUIRE_OPTIONS and at what /etc/fstab has mounted there is one mount at most. An automount point below what it mounted is none. And nothing is mounted over what the agent itself goes by: /etc, if it is a mount, is on a disk of /; its configuration, fstab, mtab, SELinux's and those of its rivals are no mounts, nor are the boot's hand-off, the last report and udev's database.",
    why: 'A second mount shows other files than those that were sealed, and the first is still there for every process that began before: a check of what is visible says nothing about what is hidden. With another immutafs.conf in its place, the agent would ask for less.',
    fix: 'Find out who mounted it. `umount` takes the upper one away; a reboot of a sealed guest takes away everything that was mounted by hand.',
  },
  evaluate: (facts) => {
    const stacks = [...targetsOf(facts).flatMap((target) => stackAt(facts, target)), ...covers(facts)];
    const expected = 'one mount at a mount point';
    if (stacks.length === 0) {
      return { status: 'pass', subject: '', expected, observed: 'nothing is hidden', remedy: '' };
    }
    const [first] = stacks;
    return {
      status: 'fail',
      subject: shortList(stacks.map(({ target }) => target)),
      expected,
      observed: shortList(
        stacks.map(({ text }) => text),
        '; ',
      ),
      remedy: `Find out who mounted over ${first?.target ?? ''}, and reboot.`,
    };
  },
};

const always = ['/', '/var', '/run', '/run/var', '/proc', '/sys', '/dev', '/etc', '/usr', '/run/immutafs'];

/** What the agent goes by, and what is below it. */
const inputs = [
  ...['/etc/immutafs', '/etc/fstab', '/etc/mtab', '/etc/selinux', '/etc/sysconfig'],
  ...['/etc/overlayroot.conf', '/etc/overlayroot.local.conf', bootEnvFile, reportFile, '/run/udev'],
];

function targetsOf({ config, layers, fstab }: AssessedFacts): string[] {
  const required = requiredOptions(config).map(({ target }) => target);
  const all = [
    ...always,
    ...words(config.REQUIRE_READONLY),
    ...required,
    ...('value' in fstab ? fstab.value.lines : [])
      .filter(({ target, options }) => target.startsWith('/') && !options.includes('noauto'))
      .map(({ target }) => target),
    ...layers.flatMap(({ target, lower, upper }) => [target, lower, upper]),
  ];
  return [...new Set(all)];
}

function stackAt(facts: AssessedFacts, target: string): { target: string; text: string }[] {
  const seen = facts.mounts.serving(target);
  const others = facts.mounts
    .at(target)
    .filter((mount) => mount !== seen && !['autofs', 'rootfs'].includes(mount.type))
    .filter((mount) => !isBoundOnItself(facts, mount));
  if (others.length === 0 || seen === undefined) return [];
  return [{ target, text: `${target} is ${name(seen)}; hidden: ${shortList(others.map(name), ', ')}` }];
}

/** Whatever the configuration says: it may be what is forged. */
function covers(facts: AssessedFacts): { target: string; text: string }[] {
  const { all, hidden } = facts.mounts;
  const isForeign = foreignTest(facts);
  return all
    .filter((mount) => isInput(mount) || (mount.target === '/etc' && isForeign(mount)))
    .filter((mount) => !hidden.has(mount))
    .map((mount) => ({
      target: mount.target,
      text: `${mount.target} is ${name(mount)}, not what was sealed`,
    }));
}

function isInput({ target }: Mount): boolean {
  return target === '/run/immutafs' || inputs.some((input) => isBelow(target, input));
}

/** Whether a mount on /etc is on another file system than "/", and on no disk of it: what was sealed is on those. */
function foreignTest(facts: AssessedFacts): (mount: Mount) => boolean {
  const disks = 'value' in facts.disks ? facts.disks.value : [];
  const isWithRoot = disks.some(({ holds }) => holds.includes('/') && holds.includes('/etc'));
  return (mount) =>
    mount.device === facts.mounts.serving('/')?.device ? !isBoundOnItself(facts, mount) : !isWithRoot;
}

function name({ type, source }: Mount): string {
  return `${type} (${source})`;
}

/** A folder over itself shows what is there without it: `prepare` holds /home still in this way until a reboot. */
function isBoundOnItself({ mounts }: AssessedFacts, { device, root, target }: Mount): boolean {
  const system = mounts.serving('/');
  return target !== '/' && device === system?.device && root === path.join(system.root, target);
}
