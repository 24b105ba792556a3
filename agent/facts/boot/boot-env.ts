import { decodeBytes } from '../../lib/format.ts';
import { bootEnvFile, modes, splitOverlay, valuesOf } from './boot-record.ts';
import type { SystemReader } from '../../system/reader.ts';

export { bootEnvFile };

/** A device that carries the identity of a device on a disk that the host made read-only, but is not on such a disk. */
export interface Impostor {
  /** /dev/vdb2 */
  device: string;
  sealedDevice: string;
  /** UUID=… */
  identity: string;
}

/** What the boot did about a path of OVERLAY. */
export type OverlayRecord = ReturnType<typeof overlay>;

/** What the boot did about the host's seed (boot/seed/seed.ts). */
export type SeedRecord =
  | { state: 'begun' | 'none' }
  /** `incomplete`: only a part of the seed was applied, and /etc was made read-only. */
  | { state: 'refused' | 'incomplete'; reason: string }
  | {
      state: 'accepted';
      /** The kernel's name: sr0. */
      device: string;
      /** The checksum of the copy. */
      sha256: string;
    };

/** The content of /run/immutafs/boot.env, in which the boot records its decisions (boot/guest/boot-env.ts). */
export type BootEnv = ReturnType<typeof parseBootEnv>;

export type Mode = BootEnv['mode'];

/** Reads boot.env; undefined if it does not exist. @throws the errors of parseBootEnv and of SystemReader.readRecord */
export function readBootEnv(reader: SystemReader): BootEnv | undefined {
  const text = reader.readRecord(bootEnvFile, 'root', 65536);
  return text === undefined ? undefined : parseBootEnv(decodeBytes(text));
}

/**
 * Parses boot.env. Late boot appends lines to those of the initramfs, so the last line of a key takes effect.
 * @throws Error that names the missing key or the malformed line. The boot never leaves such a file, so another
 *     program modified it.
 */
export function parseBootEnv(text: string) {
  const { all, malformed } = valuesOf(text);
  if (malformed.length > 0)
    throw new Error(`${bootEnvFile}: malformed line, expected KEY=value: ${malformed[0]}`);
  const last = (key: string) => all(key).at(-1);
  const get = (key: string) => {
    const value = last(key);
    if (value === undefined) throw new Error(`${bootEnvFile}: ${key} is missing`);
    return value;
  };
  return {
    version: get('VERSION'),
    /** The part of the boot that decided the mode. */
    stage: oneOf(['initramfs', 'late'], 'STAGE', get('STAGE')),
    /** Seconds since the kernel started. */
    uptime: seconds('UPTIME', get('UPTIME')),
    mode: oneOf(modes, 'MODE', get('MODE')),
    reason: get('REASON'),
    /** The disks under /, as recorded by the initramfs: "vda:1:virtio-feature …". */
    disks: get('DISKS'),
    /** The state of /var. */
    var: oneOf(['overlay', 'disk', 'deferred', 'failed'], 'VAR', get('VAR')),
    /** The part of the boot that assembled the overlay on /var; `none` if /var is not an overlay. */
    assembled: oneOf(['initramfs', 'late', 'none'], 'ASSEMBLED', last('ASSEMBLED') ?? 'none'),
    // systemd restarts a failed unit for each unit that requires it, so the same error may be recorded several times.
    errors: [...new Set(all('ERROR'))],
    warnings: all('WARNING'),
    /** Each target, /var or a path below it, with its state after late boot: "/var/log overlay". */
    layers: all('LAYER'),
    /** One record for each path of OVERLAY that the boot examined. */
    overlays: [
      ...new Map(
        all('OVERLAY')
          .map(overlay)
          .map((each) => [each.target, each]),
      ).values(),
    ],
    /** "major:minor" of the file system of the initramfs; undefined if the initramfs did not write this record. */
    initramfs: device(last('INITRAMFS')),
    /** Impostors that the initramfs ignored. */
    impostors: all('IMPOSTOR').map(impostor),
    /** Undefined if the boot did not look for a seed. */
    seed: seed(last('SEED')),
    /** Seeds on devices that the host did not make read-only. */
    ignoredSeeds: all('SEED_IGNORED').map(ignoredSeed),
    /** Undefined unless this boot is a rehearsal (`prepare --rehearse`). */
    rehearsal: rehearsal(last('REHEARSAL')),
  };
}

/**
 * `overlay`: mounted. `deferred`, `begun`: late boot did not finish it. `unneeded`: not on the system disk. `refused`,
 * `missing`, `failed`: no overlay, for the reason.
 */
const overlayStates = ['overlay', 'deferred', 'begun', 'refused', 'missing', 'unneeded', 'failed'] as const;

/** Parses "PATH STATE REASON". The reason is empty for `overlay`, `deferred` and `begun`. */
function overlay(value: string) {
  const found = splitOverlay(value);
  if (found === undefined)
    throw new Error(`${bootEnvFile}: OVERLAY=${value} does not have the form PATH STATE REASON`);
  return { ...found, state: oneOf(overlayStates, 'OVERLAY', found.state) };
}

/** Parses "DEVICE SEALED-DEVICE IDENTITY". */
function impostor(value: string): Impostor {
  const [, device, sealedDevice, identity] = /^(\S+) (\S+) (.+)$/.exec(value) ?? [];
  if (device === undefined || sealedDevice === undefined || identity === undefined) {
    throw new Error(`${bootEnvFile}: IMPOSTOR=${value} does not have the form DEVICE SEALED-DEVICE IDENTITY`);
  }
  return { device, sealedDevice, identity };
}

/** Parses "accepted DEVICE SHA256 DISKS", "refused REASON", "incomplete REASON", "none" or "begun". */
function seed(value: string | undefined): SeedRecord | undefined {
  if (value === undefined) return undefined;
  if (value === 'begun' || value === 'none') return { state: value };
  const [, state, reason] = /^(refused|incomplete) (.+)$/.exec(value) ?? [];
  if (state !== undefined && reason !== undefined)
    return { state: state === 'refused' ? 'refused' : 'incomplete', reason };
  const [, name, sha256] = /^accepted (\S+) ([0-9a-f]{64}) \S/.exec(value) ?? [];
  if (name === undefined || sha256 === undefined)
    throw new Error(`${bootEnvFile}: SEED=${value} does not have the form of a record`);
  return { state: 'accepted', device: name, sha256 };
}

/** Parses "DEVICE DISKS", the disks in the form of `disks`: "vdb:0:none". */
function ignoredSeed(value: string) {
  const [, name, disks] = /^(\S+) (.*)$/.exec(value) ?? [];
  if (name === undefined || disks === undefined)
    throw new Error(`${bootEnvFile}: SEED_IGNORED=${value} does not have the form DEVICE DISKS`);
  return { device: name, disks };
}

/** Parses the time limit of a rehearsal, in seconds since the kernel started. */
function rehearsal(value: string | undefined) {
  if (value === undefined) return undefined;
  if (!/^[1-9]\d{0,5}$/.test(value))
    throw new Error(`${bootEnvFile}: REHEARSAL=${value} is not a number of seconds`);
  return { limitSeconds: Number(value) };
}

function device(value: string | undefined): string | undefined {
  if (value !== undefined && !/^\d+:\d+$/.test(value))
    throw new Error(`${bootEnvFile}: INITRAMFS=${value} is not a device number`);
  return value;
}

/** Parses seconds in the format of /proc/uptime (proc_uptime(5)). */
function seconds(key: string, value: string): number {
  if (!/^\d{1,12}(\.\d{1,9})?$/.test(value))
    throw new Error(`${bootEnvFile}: ${key}=${value} is not a number of seconds`);
  return Number(value);
}

function oneOf<T extends string>(allowed: readonly T[], key: string, value: string): T {
  const found = allowed.find((each) => each === value);
  if (found === undefined)
    throw new Error(`${bootEnvFile}: ${key}=${value} is not one of ${allowed.join(', ')}`);
  return found;
}
