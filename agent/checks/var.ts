import type { AssessedFacts } from '../assess/assess.ts';
import { overlayProblems } from '../assess/overlays.ts';
import { shortList, formatAge, formatBytes } from '../lib/format.ts';
import { upperDirectory } from '../facts/boot/layer-paths.ts';
import type { Layer } from '../facts/boot/overlays.ts';
import { type Mount, isBelow, isWritable, servingMount } from '../facts/mounts/mountinfo.ts';
import { unwrap, valueOf } from '../facts/observed.ts';
import { type Check, judge } from './check.ts';
import type { Forecast } from '../assess/forecast.ts';
import { proposeScratch } from '../assess/scratch-proposal.ts';
import type { ResetState } from '../facts/reset-state.ts';

/** OVERLAYFS_SUPER_MAGIC (linux/magic.h). */
const overlayMagic = 0x794c7630;

export const varOverlay: Check = {
  id: 'var-overlay',
  seal: true,
  messageId: 'e8b8d8df4733454eaaff9d94a5412f9d',
  subject: '/var',
  expected: "an overlay over the disk's own /var",
  evaluate: (facts) => {
    const wrong = [...problems(facts), ...unfinished(facts.layers)];
    if (wrong.length === 0) return { status: 'pass', observed: 'overlay' };
    const observed = [shortList(wrong, '; '), ...(valueOf(facts.bootEnv)?.errors ?? [])].join('; ');
    const remedy =
      'Find the error with `journalctl -b | grep immutafs:` and in /run/immutafs/boot.env, fix the cause, and reboot.';
    return { status: 'fail', observed, remedy };
  },
};

function problems(facts: AssessedFacts): string[] {
  const mount = servingMount(facts.mounts, '/var');
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
 * Returns the layers during whose assembly immutafs-boot was killed, either because memory was exhausted or on timeout,
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

export const varUpperTmpfs: Check = {
  id: 'var-upper-tmpfs',
  seal: true,
  messageId: '146ad4b087f64adcba140809895e7bba',
  expected: 'a tmpfs with limits for bytes and inodes',
  evaluate: ({ mounts, layers, overlays }) => {
    const below = layers
      .filter(({ target, state }) => target !== '/var' && state === 'overlay')
      .map(({ upper }) => upper);
    const others = unwrap(overlays).flatMap(({ lower, upper }) => (lower ? [upper] : []));
    const found = new Set([upperDirectory, ...below, ...others].map((each) => servingMount(mounts, each)));
    const subject = [...new Set([...found].map(({ target }) => target))].join(' ');
    const remedy = 'A program mounted over the upper layer: find it, and reboot.';
    return { subject, ...judge([...found].flatMap(limitProblems), 'tmpfs with limits', remedy) };
  },
};

function limitProblems({ type, target, superOptions }: Mount): string[] {
  const has = (option: string) => superOptions.some((each) => each.startsWith(`${option}=`));
  return [
    ...(type === 'tmpfs' ? [] : [`an upper layer is on ${type} at ${target}`]),
    ...(has('size') ? [] : ['no limit for bytes (size=)']),
    ...(has('nr_inodes') ? [] : ['no limit for inodes (nr_inodes=)']),
  ];
}

export const varUsage: Check = {
  id: 'var-usage',
  seal: true,
  messageId: 'f9c348caf9d54bd1967b9b3d1fd3bfe5',
  subject: '/var',
  evaluate: ({ config, varUsage, largestFiles, forecast }) => {
    const usage = unwrap(varUsage);
    if (usage === undefined) return { status: 'skip', subject: '/var', observed: '/var is not an overlay' };
    const bytes = percent(usage.usedBytes, usage.sizeBytes);
    const inodes = percent(usage.inodesUsed, usage.inodes);
    const worst = Math.max(bytes, inodes);
    const [warn, fail] = [parseInt(config.USAGE_WARN, 10), parseInt(config.USAGE_FAIL, 10)];
    const status = worst >= fail ? 'fail' : worst >= warn ? 'warn' : 'pass';
    const largest = valueOf(largestFiles) ?? [];
    const consumers = largest.map(
      (each) => `${each.path} ${formatBytes(each.bytes)} in ${each.inodes} inodes`,
    );
    const observed = [
      `${bytes}% of ${formatBytes(usage.sizeBytes)}, ${inodes}% of ${usage.inodes} inodes`,
      ...(forecast === undefined ? [] : [describeForecast(forecast)]),
      ...(consumers.length === 0 ? [] : [`largest: ${consumers.join(', ')}`]),
    ].join('; ');
    const expected = `less than ${warn}%`;
    if (status === 'pass') return { status, expected, observed };
    const scratch =
      proposeScratch(
        config,
        largest.map(({ path }) => path),
      ) ?? 'SCRATCH';
    const remedy = `Find the largest directories with \`du -xh /run/var | sort -h | tail\`; make the program write less, put its directory on SCRATCH_DEVICE (${scratch}), or increase VAR_SIZE or VAR_INODES while the disk is writable. For more space until the reboot: \`mount -o remount,size=SIZE /run/var\`, or nr_inodes=NUMBER.`;
    return { status, expected, observed, remedy };
  },
};

/** Describes a forecast: "full in about 3 h at the present rate". */
export function describeForecast({ secondsUntilFull }: Forecast): string {
  return `full in about ${formatAge(secondsUntilFull)} at the present rate`;
}

/** Returns the used percentage, rounded up; 0 for a tmpfs without a limit. */
function percent(used: number, size: number): number {
  return size > 0 ? Math.ceil((used / size) * 100) : 0;
}

export const stateKept: Check = {
  id: 'state-kept',
  severity: 'advisory',
  seal: true,
  messageId: 'b97d715e158e40499d7a92697e35c4dc',
  expected: 'only what may be lost is reset at the reboot',
  evaluate: ({ resetState }) => {
    const { list, isComplete } = unwrap(resetState);
    if (list.length === 0) {
      const where = isComplete ? '' : ', in the entries that were read';
      return { status: 'pass', observed: `no state was written that a reboot would lose${where}` };
    }
    return {
      status: 'warn',
      subject: shortList(list.flatMap(({ directories }) => directories)),
      observed: `a reboot would lose: ${shortList(list.map(describe), ', ')}`,
      remedy:
        'List it with `immutafs-agent changes --state`; keep it with PERSIST or accept the loss: `immutafs-agent prepare --only state` in maintenance mode.',
    };
  },
};

function describe({ service, directories, files, bytes }: ResetState): string {
  const size = `${formatBytes(bytes)} in ${files} ${files === 1 ? 'file' : 'files'}`;
  return `${service?.name ?? directories[0] ?? ''} (${size})`;
}
