import path from 'node:path';
import type { AssessedFacts } from '../assess/assess.ts';
import { shortList } from '../lib/format.ts';
import type { Layer } from '../facts/boot/layers.ts';
import { type Mount, isBelow } from '../facts/mounts/mountinfo.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/** OVERLAYFS_SUPER_MAGIC (linux/magic.h). */
const overlayMagic = 0x794c7630;

/** /var, and what is below it on a sealed disk, is an overlay of the disk's own and an upper layer of ours. */
export const varOverlay: Check = {
  id: 'var-overlay',
  severity: 'required',
  seal: true,
  messageId: 'e8b8d8df4733454eaaff9d94a5412f9d',
  documentation: {
    title: "/var is an overlay in RAM over the disk's own /var",
    means:
      "/var is an overlay whose lower layer is the disk's own /var, mounted read-only, and whose upper layer is the one that the boot made; so is every file system below /var that is on a sealed disk or another read-only disk. A file system that fstab has with noauto on a disk that is not the system's, a loop device and a read-only type (squashfs, iso9660) need no layer.",
    why: 'Without it, programs cannot write to /var and fail in many ways; with another upper layer, what they write may outlive a reboot.',
    fix: 'See `journalctl -b | grep immutafs:` and /run/immutafs/boot.env for what the boot could not do, mend that and reboot.',
  },
  evaluate: (facts) => {
    const bootEnv = 'value' in facts.bootEnv ? facts.bootEnv.value : undefined;
    const wrong = [...problems(facts), ...unfinished(facts.layers)];
    const expected = "an overlay, the disk's own /var below it";
    if (wrong.length === 0) {
      return { status: 'pass', subject: '/var', expected, observed: 'overlay', remedy: '' };
    }
    const observed = [shortList(wrong, '; '), ...(bootEnv?.errors ?? [])].join('; ');
    const remedy =
      'See `journalctl -b | grep immutafs:` and /run/immutafs/boot.env, mend the cause and reboot.';
    return { status: 'fail', subject: '/var', expected, observed, remedy };
  },
};

function problems(facts: AssessedFacts): string[] {
  const mount = facts.mounts.serving('/var');
  if (mount === undefined) throw new Error('no mount serves /var');
  if (mount.target !== '/var')
    return [`/var is no mount of its own but part of ${mount.target} (${mount.type})`];
  if (mount.type !== 'overlay') return [`/var is ${mount.type}, not overlay`];
  const [own, ...below] = facts.layers;
  return [
    ...(own === undefined ? [] : overlayProblems(facts, mount, own)),
    ...(unwrap(facts.varUsage)?.type === overlayMagic
      ? []
      : ['statfs(2) of /var does not answer as an overlay']),
    ...below.flatMap((layer) => belowProblems(facts, layer)),
    ...forgotten(facts, below),
  ];
}

/** The mount, its options, and its layers. */
function overlayProblems(facts: AssessedFacts, mount: Mount, layer: Layer): string[] {
  const { target, lower, upper, work } = layer;
  const wanted = facts.config.VAR_OPTIONS.split(',').filter((option) => option !== '');
  const missing = wanted.filter((option) => !mount.options.includes(option));
  const layers = [`lowerdir=${lower}`, `upperdir=${upper}`, `workdir=${work}`];
  return [
    ...layers
      .filter((option) => !mount.superOptions.includes(option))
      .map((option) => `the overlay on ${target} has no ${option}`),
    ...(missing.length === 0 ? [] : [`${target} lacks ${missing.join(',')}`]),
    ...(mount.options.includes('rw') ? [] : [`${target} is read-only`]),
    ...lowerProblems(facts, lower, target),
  ];
}

/**
 * Of the system's own disks, and nothing that somebody could write to through another mount.
 * @param over what is mounted over it
 */
function lowerProblems(facts: AssessedFacts, target: string, over: string): string[] {
  const lower = facts.mounts.serving(target);
  if (lower?.target !== target || !lower.options.includes('ro'))
    return [`${target} is not mounted read-only`];
  const root = facts.mounts.serving('/');
  // Btrfs has a number for all its subvolumes, which may be called anything.
  const isOther =
    lower.device === root?.device && lower.type !== 'btrfs' && lower.root !== path.join(root.root, over);
  if (isOther) return [`${target} is ${lower.root} of the disk, not ${over}`];
  // Of the system's own disks, host-enforced says whose doing it is.
  const system = unwrap(facts.systemDisks);
  const disks = unwrap(facts.disks).filter(({ holds }) => holds.includes(target));
  const writable = disks.filter((disk) => !disk.readOnly && !system.includes([disk])).map(({ name }) => name);
  if (disks.length === 0) return [`${target} is on no disk but ${lower.type} (${lower.source})`];
  return writable.length === 0 ? [] : [`${target} is on ${writable.join(' ')}, which is writable`];
}

function belowProblems(facts: AssessedFacts, layer: Layer): string[] {
  const { target, state } = layer;
  if (state === 'failed') return [`${target} could not be assembled`];
  if (state !== 'overlay') return [];
  const mount = facts.mounts.serving(target);
  return mount?.target === target && mount.type === 'overlay'
    ? overlayProblems(facts, mount, layer)
    : [`${target} is no overlay any more`];
}

/** Those at which assemble-var was killed: out of memory, or out of time at a disk that does not answer. */
function unfinished(layers: readonly Layer[]): string[] {
  return layers
    .filter(({ state }) => state === 'begun')
    .map(
      ({ target }) =>
        `to put a layer over ${target} was begun and did not end (journalctl -u 'immutafs-var@*')`,
    );
}

/** File systems below /var that nothing can be written to, though programs will. */
function forgotten(facts: AssessedFacts, layers: readonly Layer[]): string[] {
  const settled = layers.filter(({ state }) => ['failed', 'begun'].includes(state));
  return facts.mounts.all
    .filter(({ target, type, options, superOptions }) => {
      if (type === 'overlay' || target === '/var' || !isBelow(target, '/var')) return false;
      return options.includes('ro') || superOptions.includes('ro');
    })
    .filter((mount) => !facts.mounts.hidden.has(mount))
    .filter(({ target }) => !settled.some((layer) => layer.target === target))
    .filter((mount) => needsLayer(facts, mount))
    .map(({ target }) => `${target} is read-only and no overlay`);
}

/** What the boot puts a layer over, or would if it knew of it; nobody expects to write to the rest. */
function needsLayer(facts: AssessedFacts, { target, type }: Mount): boolean {
  const under = unwrap(facts.disks).filter(({ holds }) => holds.includes(target));
  const system = unwrap(facts.systemDisks);
  if (system.includes(under)) return true;
  if (/^(squashfs|iso9660|erofs|cramfs|romfs)$/.test(type)) return false;
  if (!under.some(({ name, readOnly }) => readOnly && !/^loop\d/.test(name))) return false;
  return !unwrap(facts.fstab).lines.some((line) => line.target === target && isOnDemand(line.options));
}

/** systemd.mount(5): with an automount, noauto means nothing. */
function isOnDemand(options: readonly string[]): boolean {
  return options.includes('noauto') && !options.some((option) => automount.test(option));
}

const automount = /^(x-|comment=)systemd\.automount$/;
