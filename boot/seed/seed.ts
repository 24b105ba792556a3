import {
  searchKilled,
  seedCopy,
  seedDirectory,
  seedReady,
  sumLine,
} from '../../agent/facts/boot/seed-files.ts';
import { errorCode, onFile, unless, unlessSystemError } from '../../agent/lib/errors.ts';
import { namesIfThere } from '../../agent/system/names.ts';
import { appendBootRecord } from '../guest/boot-env.ts';
import { bootState, mountAt } from '../guest/boot-state.ts';
import { uptime } from '../guest/command.ts';
import { disksOfDevice, wordOf } from '../guest/disks.ts';
import type { Guest } from '../guest/guest.ts';
import { flagsOf } from '../guest/mount.ts';
import { readUdevData } from '../guest/udev.ts';
import { makeDirectories, openDirectory, reopen, using } from '../native/directories.ts';
import type { Native } from '../native/native.ts';
import { firstLine, runProgram } from '../native/programs.ts';
import { refusalOf, refuse } from '../native/refusal.ts';
import { type Copied, copyStandardFiles, withMountedSeed } from './copy.ts';
import { applyPlainFiles, copyPlainFiles } from './files.ts';

/*
 * A seed is a file system with the label cidata (data source NoCloud of cloud-init). It is accepted only from a device that the host
 * made read-only, by the rule for the disks of the root. Root in an earlier boot may have made every other device: such a seed is
 * recorded and never mounted. If several seeds are acceptable, none is used.
 *
 * cloud-init gets only the copy, as the seed directory of NoCloud, and searches neither devices nor the network. Its units start only
 * if the copy is complete. Without cloud-init, the directory immutafs of the seed is applied.
 *
 * The result is in boot.env:
 *   SEED=begun                         the search has not finished
 *   SEED=none                          no device has an acceptable seed
 *   SEED=refused REASON                there is a seed, and it is not used
 *   SEED=incomplete REASON             only a part of the seed was applied; /etc was made read-only
 *   SEED=accepted DEVICE SHA256 DISKS  it is used; DISKS has the evidence for each disk as in DISKS= of the boot
 *   SEED_IGNORED=DEVICE DISKS          a seed on a device that the host did not make read-only
 */

/** What to do about a seed that is not used. */
const explained = 'See: immutafs-agent status --explain seed-genuine';

/** Exists from the moment in which the boot begins to write files of the seed to /etc. */
const applying = `${seedDirectory}/applying`;

/** Finds the seed of this guest, and applies it. Does nothing in a boot that is not sealed, and after a soft reboot. */
export function findSeed(guest: Guest): void {
  const { native } = guest;
  const state = bootState(guest.reader, guest.mounts, guest.config);
  // After a soft reboot, the overlays and what cloud-init wrote to them still exist.
  if (!state.isRecorded || state.mode !== 'sealed' || state.seed !== undefined) return;
  appendBootRecord(guest, 'SEED', 'begun');
  const { found, ignored } = awaitSeeds(guest);
  for (const { name, disks } of ignored) {
    appendBootRecord(guest, 'SEED_IGNORED', `${name} ${disks}`);
    report(native, `${name} has the label cidata, and the host did not make it read-only: ignored`);
  }
  const [seed] = found;
  if (seed === undefined) {
    appendBootRecord(guest, 'SEED', 'none');
    report(native, `no device with the label cidata that the host made read-only. ${explained}`);
    return;
  }
  let sum = '';
  const refused = refusalOf(() => {
    sum = useSeed(guest, seed, found);
  });
  if (refused !== undefined) {
    recordFailure(guest, refused.reason);
    return;
  }
  appendBootRecord(guest, 'SEED', `accepted ${seed.name} ${sum} ${seed.disks}`);
  onFile(seedReady, () => native.write(seedReady, ''));
}

/** Records the result if the search was killed, also before it recorded that it had begun. */
export function endSearch(guest: Guest): void {
  const state = bootState(guest.reader, guest.mounts, guest.config);
  if (state.isRecorded && state.mode === 'sealed' && (state.seed ?? 'begun') === 'begun')
    recordFailure(guest, searchKilled);
}

function recordFailure(guest: Guest, reason: string): void {
  const { native } = guest;
  const isPartial = guest.reader.stat(applying) !== undefined;
  // So that no program completes a part of an identity.
  const failed = isPartial ? refusalOf(() => freezeEtc(native)) : undefined;
  if (failed !== undefined) report(native, failed.reason);
  const text = reason.replaceAll('\n', ' ');
  appendBootRecord(guest, 'SEED', `${isPartial ? 'incomplete' : 'refused'} ${text}`);
  report(native, `${text}. ${explained}`);
}

function report(native: Native, text: string): void {
  native.print(2, `immutafs: SEED: ${text}\n`);
}

function freezeEtc(native: Native): void {
  using(native, reopen(native, '/etc'), (directory) =>
    onFile('/etc', () => native.remount(directory, flagsOf('ro'), 0)),
  );
}

// --- which device ------------------------------------------------------------------------------------------------

interface Seed {
  /** The kernel name. */
  name: string;
  /** "major:minor" */
  number: string;
  /** The type of the file system, as udev has it. */
  type: string;
  /** The evidence for each disk, separated by blanks. */
  disks: string;
}

interface Seeds {
  /** The acceptable ones. */
  found: Seed[];
  ignored: Seed[];
}

/**
 * Waits until there is a seed and all devices are known, because a second seed must be noticed. Without a seed, the guest has no
 * identity, which is worth the wait.
 */
function awaitSeeds(guest: Guest): Seeds {
  const { native, config } = guest;
  const seconds = Number(config.SEED_TIMEOUT);
  const end = uptime(guest.reader) + seconds;
  // udev may not have received its first event yet.
  runProgram(native, seconds + 1, 'udevadm', 'settle', `--timeout=${seconds}`);
  for (;;) {
    const seeds = findSeeds(guest);
    const missing = missingDevice(guest);
    if (seeds.found.length > 0 && missing === undefined) return seeds;
    if (uptime(guest.reader) >= end) {
      if (missing !== undefined)
        report(native, `after ${seconds} s, ${missing} is not ready; devices may be missing`);
      return seeds;
    }
    native.sleep(1000);
  }
}

/** Returns the devices whose label is that of a seed. */
function findSeeds({ reader }: Guest): Seeds {
  const seeds: Seeds = { found: [], ignored: [] };
  for (const name of namesIfThere(reader, '/sys/class/block')) {
    const { label, type, number } = readUdevData(reader, name);
    if (label !== 'cidata' && label !== 'CIDATA') continue;
    // The disks of a device that has just been removed are unknown.
    const below = unlessSystemError(() => disksOfDevice(reader, `/sys/class/block/${name}`));
    const disks = (below?.disks ?? []).map(wordOf).join(' ');
    seeds[below?.state === 'sealed' ? 'found' : 'ignored'].push({ name, number, type, disks });
  }
  return seeds;
}

/**
 * Returns what udev has not processed of what could have an acceptable seed; undefined if there is nothing. udev loads the drivers of
 * disks, and a driver has found its devices when it is loaded; only SCSI drivers examine a device later.
 */
function missingDevice({ reader }: Guest): string | undefined {
  if (reader.stat('/run/udev/queue') !== undefined) return 'the queue of udev';
  for (const driver of ['sr', 'sd']) {
    const folder = `/sys/bus/scsi/drivers/${driver}`;
    const device = namesIfThere(reader, folder).find(
      (name) => /^\d/.test(name) && reader.stat(`${folder}/${name}/block`) === undefined,
    );
    if (device !== undefined) return `SCSI device ${device}`;
  }
  return namesIfThere(reader, '/sys/class/block').find((name) => {
    const directory = `/sys/class/block/${name}`;
    const number = (reader.readIfPresent(`${directory}/dev`) ?? '').trim();
    // udev writes a file for every device that has a node (systemd, src/libudev/libudev-device-private.c).
    if (number === '' || reader.stat(`/run/udev/data/b${number}`) !== undefined) return false;
    return unlessSystemError(() => disksOfDevice(reader, directory))?.state === 'sealed';
  });
}

// --- use ---------------------------------------------------------------------------------------------------------

/**
 * Copies the seed, and makes cloud-init use only the copy, or applies the plain files.
 * @returns the checksum of the copy
 * @throws Refused
 */
function useSeed(guest: Guest, seed: Seed, found: readonly Seed[]): string {
  const { native } = guest;
  if (found.length > 1)
    refuse(
      `several devices have a seed, and the host made all of them read-only: ${found.map(({ name }) => name).join(' ')}`,
      '',
    );
  if (seed.type !== 'iso9660' && seed.type !== 'vfat')
    refuse(`the file system on ${seed.name} is ${seed.type || 'unknown'}, and must be iso9660 or vfat`, '');
  // In all versions of cloud-init.
  const isPlain = guest.reader.stat('/usr/lib/systemd/system/cloud-init-local.service') === undefined;
  checkOverlays(guest);
  const [standard, plain] = using(native, openSeed(native, seed), (file) =>
    withMountedSeed(native, file, seed.type, (top): [Copied[], Copied[]] => [
      copyStandardFiles(native, seed.name, top),
      isPlain ? copyPlainFiles(guest, seed.name, top) : [],
    ]),
  );
  if (isPlain) applyPlainFiles(guest, plain, () => onFile(applying, () => native.write(applying, '')));
  else configureCloudInit(guest);
  return sumOf(native, [...standard, ...plain]);
}

/** Opens the device that was examined, whatever its name leads to now. */
function openSeed(native: Native, { name, number }: Seed): number {
  const file = onFile(`/dev/${name}`, () => native.openBlock(`/dev/${name}`, false, false));
  if (native.block(file).startsWith(`${number} `)) return file;
  native.close(file);
  return refuse(`/dev/${name} is not the device ${number}`, '');
}

/** The checksum of what `sha256sum *` prints in the directories of the copy. */
function sumOf(native: Native, copied: readonly Copied[]): string {
  return native.sha256(copied.map(({ name, sha256 }) => sumLine(sha256, name)).join(''));
}

/** Checks whether cloud-init can write to /etc and /var/lib/cloud, and no earlier boot could. @throws Refused */
function checkOverlays({ mounts }: Guest): void {
  if (mountAt(mounts, '/etc')?.type !== 'overlay') refuse('/etc has no overlay in RAM', '');
  const places = ['/var/lib/cloud', '/var/lib', '/var'];
  const place = places.find((path) => mountAt(mounts, path) !== undefined) ?? '/var';
  if (mountAt(mounts, place)?.type !== 'overlay')
    refuse(`${place} has no overlay in RAM, which cloud-init needs`, '');
}

/**
 * /run/cloud-init/cloud.cfg takes precedence over the configuration in /etc (cloud-init 0.7.9 and later). The state of an earlier run,
 * on the disk of an image, would keep cloud-init from applying the seed.
 */
function configureCloudInit({ native, reader }: Guest): void {
  const state = ['data', 'instance', 'instances', 'seed', 'sem'].map((name) => `/var/lib/cloud/${name}`);
  const earlier = state.filter((path) => reader.stat(path) !== undefined);
  if (earlier.length > 0) {
    const ended = runProgram(native, 60, 'rm', '-rf', '--one-file-system', ...earlier);
    if (ended.code !== 0) refuse(`rm failed: ${firstLine(ended)}`, '');
  }
  makeDirectories(native, '/var/lib/cloud');
  makeDirectories(native, '/var/lib/cloud/seed', 0o700);
  makeDirectories(native, '/run/cloud-init');
  onFile('/var/lib/cloud/seed/nocloud', () => native.link(seedCopy, '/var/lib/cloud/seed/nocloud'));
  using(native, reopen(native, '/run/cloud-init'), (directory) => native.removeAt(directory, 'disabled'));
  const lines = [
    '# Written by immutafs-agent (SEED=host).',
    'datasource_list: [NoCloud]',
    'datasource: {NoCloud: {fs_label: null, seedfrom: null}}',
  ];
  onFile('/run/cloud-init/cloud.cfg', () =>
    native.write('/run/cloud-init/cloud.cfg', lines.map((line) => `${line}\n`).join('')),
  );
}

// --- the end -----------------------------------------------------------------------------------------------------

/**
 * Makes the overlay on /etc read-only. The file system itself becomes read-only, and so every mount of it, also in the mount
 * namespaces of services. The kernel refuses that while a file is open for writing.
 * @param isLate whether the time for cloud-init is over: if it has not finished, only a part of the seed is applied
 * @returns whether /etc is read-only
 */
export function closeEtc(guest: Guest, isLate: boolean): boolean {
  const { native, reader } = guest;
  // cloud-init does not run again after a soft reboot, which keeps the overlay, and starts no further stage.
  const directory = openDirectory(native, seedDirectory);
  if (directory !== undefined)
    using(native, directory, () => onFile(seedReady, () => native.removeAt(directory, 'ready')));
  const isRunning =
    reader.stat('/usr/lib/systemd/system/cloud-init-local.service') !== undefined &&
    reader.stat('/run/cloud-init/result.json') === undefined;
  const { seed } = bootState(reader, guest.mounts, guest.config);
  if (isLate && isRunning && seed?.startsWith('accepted') === true)
    appendBootRecord(guest, 'SEED', 'incomplete cloud-init did not finish in time');
  for (let left = 30; left > 0; left--) {
    const busy = unless(
      (error) => errorCode(error) !== '',
      () => {
        freezeEtc(native);
        return false;
      },
    );
    if (busy === false) return true;
    native.sleep(1000);
  }
  return false;
}
