import path from 'node:path';
import type { Facts } from '../observe/facts.ts';
import { requiredOptions } from '../observe/targets.ts';
import { words } from '../config.ts';
import { layersOf } from '../observe/layers.ts';
import type { Mount } from '../observe/mountinfo.ts';
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
      'At /, /var, /run, /proc, /sys, /dev, /etc and /usr, at the layers of /var and at every target of REQUIRE_READONLY and REQUIRE_OPTIONS there is one mount at most. An automount point below what it mounted is none.',
    why: 'A second mount shows other files than those that were sealed, and the first is still there for every process that began before: a check of what is visible says nothing about what is hidden.',
    mend: 'Find out who mounted it. `umount` takes the upper one away; a reboot of a sealed guest takes away everything that was mounted by hand.',
  },
  evaluate: (facts) => {
    const stacks = targetsOf(facts).flatMap((target) => stackAt(facts, target));
    const expected = 'one mount at a mount point';
    if (stacks.length === 0) {
      return { status: 'pass', subject: '', expected, observed: 'nothing is hidden', remedy: '' };
    }
    const [first] = stacks;
    return {
      status: 'fail',
      subject: stacks.map(({ target }) => target).join(' '),
      expected,
      observed: stacks.map(({ text }) => text).join('; '),
      remedy: `Find out who mounted over ${first?.target ?? ''}, and reboot.`,
    };
  },
};

const always = ['/', '/var', '/run', '/run/var', '/proc', '/sys', '/dev', '/etc', '/usr', '/run/immutafs'];

function targetsOf({ config, handoff }: Facts): string[] {
  const layers = layersOf('value' in handoff ? handoff.value : undefined);
  const required = requiredOptions(config).map(({ target }) => target);
  const all = [
    ...always,
    ...words(config.REQUIRE_READONLY),
    ...required,
    ...layers.flatMap(({ target, lower, upper }) => [target, lower, upper]),
  ];
  return [...new Set(all)];
}

function stackAt(facts: Facts, target: string): { target: string; text: string }[] {
  const seen = facts.mounts.serving(target);
  const others = facts.mounts
    .at(target)
    .filter((mount) => mount !== seen && !['autofs', 'rootfs'].includes(mount.type))
    .filter((mount) => !isBoundOnItself(facts, mount));
  if (others.length === 0 || seen === undefined) return [];
  return [{ target, text: `${target} is ${name(seen)}; hidden: ${others.map(name).join(', ')}` }];
}

function name({ type, source }: Mount): string {
  return `${type} (${source})`;
}

/** A folder over itself shows what is there without it: `prepare` holds /home still in this way until a reboot. */
function isBoundOnItself({ mounts }: Facts, { device, root, target }: Mount): boolean {
  const system = mounts.serving('/');
  return target !== '/' && device === system?.device && root === path.join(system.root, target);
}
