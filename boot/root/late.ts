/** The part of the boot in the real root: overlays that the initramfs could not mount, and SELinux labels. */
import { configFile } from '../../agent/config/parse.ts';
import { bootEnvFile } from '../../agent/facts/boot/boot-record.ts';
import { rootView } from '../../agent/facts/boot/layer-paths.ts';
import { errorMessage, onFile } from '../../agent/lib/errors.ts';
import { isBelow } from '../../agent/lib/paths.ts';
import { appendBootEnv, writeBootEnv } from '../guest/boot-env.ts';
import { bootState, decideMode, mountAt, readMounts } from '../guest/boot-state.ts';
import { FAILED, type Context, early, programFile } from '../guest/command.ts';
import { readConfig } from '../guest/config.ts';
import { type FstabLine, deviceLineOf, readFstab, sourceFile } from '../guest/fstab.ts';
import { copyLabel, labelRecords, restoreLabels } from '../guest/selinux.ts';
import { howVarIsMounted } from '../guest/units.ts';
import { lvmlocal } from '../identity/lvm-config.ts';
import { DEGRADED, EMERGENCY, POWEROFF, failureCode } from '../initramfs/endings.ts';
import { type Boot, Unreadable, assemble, mountPlaceholder } from '../initramfs/layers.ts';
import { assembleOverlayLate, isSealedSource } from '../initramfs/overlays.ts';
import { endedOf } from '../native/programs.ts';
import { isBlock } from '../native/reader.ts';
import { Refused, refusalOf, refuse } from '../native/refusal.ts';

/** For the assembly of one overlay; until then, it may wait for the other ones. */
const seconds = 55;

/**
 * Mounts the overlay on /var, a directory below it or a path of OVERLAY, just before systemd mounts it. If this does nothing,
 * systemd mounts the path from fstab. Does so in a process of its own, so that ON_FAILURE also applies if this process is killed,
 * has a defect, or waits for a disk that does not answer.
 * @returns the exit code (endings.ts)
 */
export function bootLate(context: Context, target: string): number {
  const result = resultOf(context, target) ?? failUnplanned(context, target);
  if (result === EMERGENCY || result === POWEROFF) end(context, result);
  return result;
}

/** Returns the exit code of the process; undefined if it was ended. */
function resultOf(context: Context, target: string): number | undefined {
  try {
    const { code, output } = endedOf(context.native.apart(seconds, () => `${assembleLate(context, target)}`));
    return code === 0 ? Number(output) : undefined;
  } catch (error) {
    context.native.print(2, `immutafs: ${errorMessage(error)}\n`);
    return undefined;
  }
}

/** Returns the exit code if the assembly has not ended as planned. A boot whose mode is unknown counts as sealed. */
function failUnplanned({ native, reader }: Context, target: string): number {
  const { values } = readConfig(reader, configFile);
  let mode = 'sealed';
  try {
    ({ mode } = bootState(reader, readMounts(reader), values));
  } catch (error) {
    native.print(2, `immutafs: ${errorMessage(error)}\n`);
  }
  native.print(2, `immutafs: ${target}: immutafs-boot was ended before the overlay was mounted\n`);
  if (mode !== 'sealed') return FAILED;
  return isVar(target) ? failureCode(values.ON_FAILURE) : DEGRADED;
}

/** Requests from systemd what ON_FAILURE says. Does not return if it cannot, so that the boot does not continue. */
function end({ native, reader }: Context, code: number): void {
  const systemctl = (...words: string[]) =>
    native.run(programFile(reader, 'systemctl') ?? '', ...words) !== undefined;
  if (code === EMERGENCY && systemctl('--no-block', 'isolate', 'emergency.target')) return;
  // immutafs-var@.service has no limit.
  native.limit(0);
  while (!systemctl('--no-block', '--force', 'poweroff') && !systemctl('--force', '--force', 'poweroff'))
    native.sleep(10_000);
}

function isVar(target: string): boolean {
  return isBelow(target, '/var');
}

function assembleLate(context: Context, target: string): number {
  const { native, reader } = context;
  // The instances of the service share a tmpfs and boot.env.
  native.makeDirectory('/run/immutafs');
  onFile('/run/immutafs', () => native.lock('/run/immutafs'));
  const { values: config } = readConfig(reader, configFile);
  const state = recordedOrDecided(context);
  if (state.mode !== 'sealed') return 0;
  try {
    const boot = { ...context, root: '', config, fstab: readFstab(reader) };
    if (isVar(target)) return assembleVarLate(boot, state, target);
    return assembleOverlayLate(boot, state, target) ? 0 : DEGRADED;
  } catch (error) {
    return fail(context, config.ON_FAILURE, target, errorMessage(error));
  }
}

/** Returns the decision of the initramfs; without a record, decides, and writes one. */
function recordedOrDecided(context: Context) {
  const { reader } = context;
  const { values, warnings } = readConfig(reader, configFile);
  const mounts = readMounts(reader);
  if (reader.stat(bootEnvFile) === undefined) {
    const boot = early(context);
    for (const warning of warnings) boot.warn(warning);
    const { mode, reason, disks, error, problems } = decideMode(reader, mountAt(mounts, '/'), values);
    for (const problem of error === '' ? problems : [...problems, error]) boot.warn(problem);
    writeBootEnv(boot, {
      ...{ stage: 'late', mode, reason, disks, var: 'disk', onFailure: values.ON_FAILURE },
      ...{ initramfs: undefined, overlays: [], rehearsal: '', error: '', warnings: boot.warnings },
    });
    labelRecords(context);
  }
  return bootState(reader, mounts, values);
}

function assembleVarLate(boot: Boot, state: ReturnType<typeof bootState>, target: string): number {
  const { reader, fstab } = boot;
  if (mountAt(readMounts(reader), target)?.type === 'overlay') return 0;
  const line = lowerOf(boot, target);
  if (typeof line === 'object' && !isSealedSource(reader, state, line.source)) {
    appendBootEnv(boot, 'LAYER', `${target} disk`);
    return 0;
  }
  appendBootEnv(boot, 'LAYER', `${target} begun`);
  try {
    if (typeof line === 'string') refuse(line, '');
    assemble(boot, target, typeof line === 'object' ? line : undefined);
    restoreLabels(boot, [target]);
    appendBootEnv(boot, 'LAYER', `${target} overlay`);
    if (target === '/var') {
      appendBootEnv(boot, 'VAR', 'overlay');
      appendBootEnv(boot, 'ASSEMBLED', 'late');
    }
    return 0;
  } catch (error) {
    if (error instanceof Unreadable) mountPlaceholder({ ...boot, fstab }, target);
    return fail(
      boot,
      boot.config.ON_FAILURE,
      target,
      error instanceof Refused ? error.reason : errorMessage(error),
    );
  }
}

/** Returns the line of fstab with the lower layer; undefined for a directory of the root; a reason if there can be no overlay. */
function lowerOf({ reader, fstab }: Boot, target: string): FstabLine | string | undefined {
  const line = deviceLineOf(fstab, target);
  if (target !== '/var') return line;
  const how = howVarIsMounted(reader, fstab);
  if (how.by === 'own') return undefined;
  if (how.by === 'other')
    return `${how.file} mounts it; an overlay is mounted only over the root's own directory or a disk in /etc/fstab`;
  if (line === undefined) return '/etc/fstab mounts it from no device';
  return isBlock(reader.status(sourceFile(reader, line.source).file))
    ? line
    : `${line.source} does not exist`;
}

/** Records that a path could not be assembled. @returns the exit code */
function fail(context: Context, onFailure: string, target: string, why: string): number {
  appendBootEnv(context, 'LAYER', `${target} failed`);
  appendBootEnv(context, 'ERROR', `${target}: ${why}`);
  if (target === '/var') appendBootEnv(context, 'VAR', 'failed');
  context.native.print(2, `immutafs: ${target} failed: ${why}\n`);
  return failureCode(onFailure);
}

/** Labels the mounts that the initramfs made before an SELinux policy was loaded. */
export function labelMounts(context: Context): void {
  const { reader } = context;
  labelRecords(context);
  const mounts = readMounts(reader);
  const isOverlay = (path: string) => mountAt(mounts, path)?.type === 'overlay';
  if (isOverlay('/var')) restoreLabels(context, ['/var']);
  const { values } = readConfig(reader, configFile);
  let early: readonly { path: string; state: string }[] = [];
  refusalOf(() => {
    early = bootState(reader, mounts, values).overlays;
  });
  // Late boot appends further records of a path.
  const first = early.filter(({ path }, index) => early.findIndex((each) => each.path === path) === index);
  for (const { path, state } of first)
    if (state === 'overlay' && isOverlay(path)) copyLabel(context, `${rootView}${path}`, path);
  // In /run, because the bind mount is read-only.
  if (mountAt(mounts, '/etc/lvm/lvmlocal.conf') !== undefined)
    copyLabel(context, '/etc/lvm/lvm.conf', lvmlocal);
}
