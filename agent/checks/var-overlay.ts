import type { AssessedFacts } from '../assess/assess.ts';
import { overlayProblems } from '../assess/overlays.ts';
import { shortList } from '../lib/format.ts';
import type { Layer } from '../facts/boot/layers.ts';
import { type Mount, isBelow, isWritable } from '../facts/mounts/mountinfo.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/** OVERLAYFS_SUPER_MAGIC (linux/magic.h). */
const overlayMagic = 0x794c7630;

/** Verifies that /var and every file system below it on a sealed disk is an overlay with an upper layer in RAM. */
export const varOverlay: Check = {
  id: 'var-overlay',
  severity: 'required',
  seal: true,
  messageId: 'e8b8d8df4733454eaaff9d94a5412f9d',
  documentation: {
    title: "/var is an overlay in RAM over the disk's own /var",
    means:
      "According to the mount table and statfs(2), /var is an overlay whose lower layer is the disk's own /var, mounted read-only, and whose upper layer is the one that the boot created. The same holds for every file system below /var on a sealed disk or another read-only disk. No overlay is required for a file system on a loop device, for a read-only type (squashfs, iso9660), or for a file system that has a noauto line in fstab and is not on a system disk.",
    why: 'Without the overlay, programs cannot write to /var and fail. With another upper layer, data that programs write to /var may survive a reboot.',
    fix: 'Find the error of the boot with `journalctl -b | grep immutafs:` and in /run/immutafs/boot.env, fix the cause, and reboot.',
    page: 'writable-paths.md',
  },
  evaluate: (facts) => {
    const bootEnv = 'value' in facts.bootEnv ? facts.bootEnv.value : undefined;
    const wrong = [...problems(facts), ...unfinished(facts.layers)];
    const expected = "an overlay over the disk's own /var";
    if (wrong.length === 0) {
      return { status: 'pass', subject: '/var', expected, observed: 'overlay' };
    }
    const observed = [shortList(wrong, '; '), ...(bootEnv?.errors ?? [])].join('; ');
    const remedy =
      'Find the error with `journalctl -b | grep immutafs:` and in /run/immutafs/boot.env, fix the cause, and reboot.';
    return { status: 'fail', subject: '/var', expected, observed, remedy };
  },
};

function problems(facts: AssessedFacts): string[] {
  const mount = facts.mounts.serving('/var');
  if (mount === undefined) throw new Error('no mount serves /var');
  if (mount.target !== '/var')
    return [`/var is not a mount point but part of ${mount.target} (${mount.type})`];
  if (mount.type !== 'overlay') return [`/var is ${mount.type}, not overlay`];
  const [own, ...below] = facts.layers;
  return [
    ...(own === undefined ? [] : problemsOf(facts, mount, own)),
    ...(unwrap(facts.varUsage)?.type === overlayMagic
      ? []
      : ['statfs(2) of /var does not report an overlay']),
    ...below.flatMap((layer) => belowProblems(facts, layer)),
    ...missingLayers(facts, below),
  ];
}

/** Returns the problems of the overlay on /var or on a path below it. */
function problemsOf(facts: AssessedFacts, mount: Mount, { target, lower, upper, work }: Layer): string[] {
  const options = facts.config.VAR_OPTIONS.split(',').filter((option) => option !== '');
  return overlayProblems(facts, mount, { target, lower, view: lower, shows: target, upper, work, options });
}

function belowProblems(facts: AssessedFacts, layer: Layer): string[] {
  const { target, state } = layer;
  if (state === 'failed') return [`${target} could not be assembled`];
  if (state !== 'overlay') return [];
  const mount = facts.mounts.serving(target);
  return mount?.target === target && mount.type === 'overlay'
    ? problemsOf(facts, mount, layer)
    : [`${target} is no longer an overlay`];
}

/**
 * Returns the layers during whose assembly assemble-var was killed, either because memory was exhausted or on timeout,
 * while it waited for a disk that does not respond.
 */
function unfinished(layers: readonly Layer[]): string[] {
  return layers
    .filter(({ state }) => state === 'begun')
    .map(
      ({ target }) =>
        `the overlay on ${target} was started and not finished (see journalctl -u 'immutafs-var@*')`,
    );
}

/** Returns the file systems below /var that are read-only although programs need to write to them. */
function missingLayers(facts: AssessedFacts, layers: readonly Layer[]): string[] {
  const settled = layers.filter(({ state }) => ['failed', 'begun'].includes(state));
  return facts.mounts.all
    .filter(({ target, type }) => type !== 'overlay' && target !== '/var' && isBelow(target, '/var'))
    .filter((mount) => !isWritable(mount) && !facts.mounts.hidden.has(mount))
    .filter(({ target }) => !settled.some((layer) => layer.target === target))
    .filter((mount) => needsLayer(facts, mount))
    .map(({ target }) => `${target} is read-only and not an overlay`);
}

/** Whether a read-only file system below /var needs an overlay, because programs write to it. */
function needsLayer(facts: AssessedFacts, { target, type }: Mount): boolean {
  const under = unwrap(facts.disks).filter(({ holds }) => holds.includes(target));
  const system = unwrap(facts.systemDisks);
  if (system.includes(under)) return true;
  if (/^(squashfs|iso9660|erofs|cramfs|romfs)$/.test(type)) return false;
  if (!under.some(({ name, readOnly }) => readOnly && !/^loop\d/.test(name))) return false;
  return !unwrap(facts.fstab).lines.some((line) => line.target === target && isOnDemand(line.options));
}

/** Whether a file system is mounted on demand. With x-systemd.automount, noauto has no effect (systemd.mount(5)). */
function isOnDemand(options: readonly string[]): boolean {
  return options.includes('noauto') && !options.some((option) => automount.test(option));
}

const automount = /^(x-|comment=)systemd\.automount$/;
