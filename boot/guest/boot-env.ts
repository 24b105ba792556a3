/** Writes /run/immutafs/boot.env, which the agent reads (agent/facts/boot/boot-env.ts), and late boot (boot-state.ts). */
import type { Impostor } from '../../agent/facts/boot/boot-env.ts';
import { bootEnvFile } from '../../agent/facts/boot/boot-record.ts';
import { onFile, unlessSystemError } from '../../agent/lib/errors.ts';
import { version } from '../../agent/lib/version.ts';
import type { Context } from './command.ts';
import { type Disk, wordOf } from './disks.ts';

export interface OverlayRecord {
  path: string;
  state: 'overlay' | 'deferred' | 'begun' | 'refused' | 'missing' | 'unneeded' | 'failed';
  /** Empty for overlay, deferred and begun. */
  why: string;
}

export interface BootRecord {
  /** The part of the boot that decided the mode. */
  stage: 'initramfs' | 'late';
  mode: string;
  reason: string;
  /** The disks under /. */
  disks: readonly Disk[];
  /** The state of /var; `deferred`: late boot mounts it. */
  var: 'disk' | 'overlay' | 'deferred' | 'failed';
  onFailure: string;
  /** The device of the file system of the initramfs, by which the agent recognises its programs that still run later. */
  initramfs: string | undefined;
  overlays: readonly OverlayRecord[];
  /** The time limit of a rehearsal; empty if this boot is none. */
  rehearsal: string;
  error: string;
  warnings: readonly string[];
}

const folder = '/run/immutafs';

/**
 * Writes KEY=value lines. If a key is repeated, its last value is used; WARNING, ERROR, LAYER, OVERLAY and IMPOSTOR may have
 * several values. The file is replaced atomically.
 */
export function writeBootEnv(context: Context, record: BootRecord): void {
  const { native } = context;
  const optional = (key: string, value: string | undefined): Lines =>
    value === undefined || value === '' ? [] : [[key, value]];
  const lines: Lines = [
    ['VERSION', version],
    ['STAGE', record.stage],
    ['UPTIME', context.reader.read('/proc/uptime').split(' ', 1)[0] ?? ''],
    ['MODE', record.mode],
    ['REASON', record.reason],
    ['DISKS', record.disks.map(wordOf).join(' ')],
    ['VAR', record.var],
    ['ON_FAILURE', record.onFailure],
    ...optional('INITRAMFS', record.initramfs),
    ...optional('ASSEMBLED', record.var === 'overlay' ? record.stage : undefined),
    ...record.overlays.map(overlayLine),
    ...optional('REHEARSAL', record.rehearsal),
    ...optional('ERROR', record.error),
    ...record.warnings.map((warning) => ['WARNING', warning] as const),
  ];
  native.makeDirectory(folder);
  const written = `${folder}/.boot.env`;
  onFile(written, () => native.write(written, format(lines) + impostorLines(context)));
  const directory = onFile(folder, () => native.openAt(native.openAt(-1, '/run'), 'immutafs'));
  onFile(bootEnvFile, () => native.rename(directory, '.boot.env', 'boot.env'));
}

type Lines = (readonly [key: string, value: string])[];

function format(lines: Readonly<Lines>): string {
  return lines.map(([key, value]) => `${key}=${value.replaceAll('\n', ' ')}\n`).join('');
}

export function overlayLine({ path, state, why }: OverlayRecord): readonly [string, string] {
  return ['OVERLAY', `${path} ${state}${why === '' ? '' : ` ${why}`}`];
}

/** Appends a line to the record. A line that cannot be written does not end what it is about. */
export function appendBootEnv(context: Context, key: string, value: string): void {
  unlessSystemError(() => appendBootRecord(context, key, value));
}

/** Appends a line to the record. @throws SystemError */
export function appendBootRecord({ native }: Pick<Context, 'native'>, key: string, value: string): void {
  onFile(bootEnvFile, () => native.append(bootEnvFile, format([[key, value]])));
}

const file = '/run/immutafs/impostors';

/**
 * Records an impostor that the boot found and did not use. boot.env includes the lines.
 * @param isInUse whether it could not be kept out
 */
export function noteImpostor(
  context: Context,
  { device, sealedDevice, identity }: Impostor,
  isInUse = false,
): void {
  const { native } = context;
  const line = `IMPOSTOR=${device} ${sealedDevice} ${identity}\n`;
  const lines = impostorLines(context);
  if (`\n${lines}`.includes(`\n${line}`)) return;
  native.makeDirectory('/run/immutafs');
  onFile(file, () => native.write(file, `${lines}${line}`));
  if (!isInUse)
    native.print(
      2,
      `immutafs: warning: ${device} has the same ${identity} as the sealed device ${sealedDevice} and is not used\n`,
    );
}

/** Returns the lines of boot.env about the impostors. */
export function impostorLines({ reader }: Pick<Context, 'reader'>): string {
  return reader.readIfPresent(file) ?? '';
}
