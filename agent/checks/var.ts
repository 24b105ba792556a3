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
  title: "/var is an overlay in RAM over the disk's own /var",
  means:
    "According to the mount table and statfs(2), /var is an overlay whose lower layer is the disk's own /var, mounted read-only, and whose upper layer is the one that the boot created. The same holds for every file system below /var on a sealed disk or another read-only disk. No overlay is required for a file system on a loop device, for a read-only type (squashfs, iso9660), or for a file system that has a noauto line in fstab and is not on a system disk.",
  why: 'Without the overlay, programs cannot write to /var and fail. With another upper layer, data that programs write to /var may survive a reboot.',
  fix: 'Find the error of the boot with `journalctl -b | grep immutafs:` and in /run/immutafs/boot.env, fix the cause, and reboot.',
  page: 'writable-paths.md',
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
  title: 'the upper layer of /var is a tmpfs with limits',
  means:
    'According to the mount table, /run/var is a tmpfs with a limit for bytes (size=) and for inodes (nr_inodes=). The same holds for the file system of each upper layer below /var and of OVERLAY.',
  why: 'If the upper layer is not on a tmpfs, data written to /var may survive a reboot. Without limits, a growing log can use all memory.',
  fix: 'Reboot, so that the boot creates the upper layer again. If the check still fails, find the program that mounts over /run/var.',
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
  title: 'the upper layer of /var has free space',
  means:
    'The check measures with statfs(2) which percentage of the bytes and of the inodes of the tmpfs is used, which the overlays of OVERLAY share with /var. The check warns if a percentage reaches USAGE_WARN, and fails if a percentage reaches USAGE_FAIL. It also shows when the tmpfs is full at the present rate: the growth of the last ten minutes, half an hour or two hours, whichever is fastest, without the largest single step.',
  why: 'When the tmpfs is full, no program can write to /var or to the paths of OVERLAY: logging stops and services fail. Space becomes free only when files are removed or the guest reboots.',
  fix: 'Find the largest directories with `du -xh /run/var | sort -h | tail`. Make the program write less, put its directory on a disk that is emptied at every reboot (SCRATCH), or increase VAR_SIZE or VAR_INODES in /etc/immutafs/immutafs.conf while the guest is open.',
  page: 'writable-paths.md',
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
    const remedy = `Find the largest directories with \`du -xh /run/var | sort -h | tail\`; make the program write less, put its directory on SCRATCH_DEVICE (${scratch}), or increase VAR_SIZE or VAR_INODES.`;
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
  title: 'no service loses state at the next reboot',
  means:
    'The check reads the upper layers of /var and of the paths of OVERLAY, which the next reboot resets. It warns about files that may be state: data, queues, keys, registrations. Caches, logs, leases, package databases and other files that a service can do without are left out, as are paths that an administrator accepted (/etc/immutafs/accepted-writes). At most 20,000 entries are read.',
  why: 'What a service keeps below /var is lost at every reboot, unless it is in PERSIST or on a file system of its own.',
  fix: 'List what would be lost with `immutafs-agent changes --state`. Copy what is needed to another host before the reboot. While the disk is writable, run `immutafs-agent prepare --only state` and decide: keep the directory with PERSIST, or accept the loss with --accept.',
  page: 'prepare.md',
  expected: 'only what may be lost is reset at the reboot',
  evaluate: ({ resetState }) => {
    const { list, isComplete } = unwrap(resetState);
    if (list.length === 0) {
      const where = isComplete ? 'was written' : 'in the entries that were read';
      return { status: 'pass', observed: `nothing undecided ${where}` };
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
