/**
 * The part of the boot in the initramfs, when the root is mounted: decides the mode. In a sealed boot, mounts writable overlays over
 * the disk's own /var and over the directories of OVERLAY, with their upper layers on a tmpfs of limited size. Records the decision
 * and the result in /run/immutafs/boot.env.
 */
import { isOfPrograms } from '../../agent/facts/security/places.ts';
import { errorMessage, onFile } from '../../agent/lib/errors.ts';
import { type BootRecord, writeBootEnv } from '../guest/boot-env.ts';
import { type Decision, decideMode, mountAt, readMounts } from '../guest/boot-state.ts';
import { type Context, type Early, early } from '../guest/command.ts';
import { type BootConfig, readConfig } from '../guest/config.ts';
import { wordOf } from '../guest/disks.ts';
import { disksOfSource, readFstab } from '../guest/fstab.ts';
import { howVarIsMounted } from '../guest/units.ts';
import { checkIdentity } from '../identity/identity.ts';
import { activateSealedVolumes } from '../identity/lvm-config.ts';
import { refusalOf } from '../native/refusal.ts';
import { beginRehearsal } from '../rehearsal/rehearsal.ts';
import {
  bindLocalConfig,
  hideSystemdOptions,
  mountReadOnlyEarly,
  setMountOptionsEarly,
} from './early-mounts.ts';
import { endForImpostor, failureCode } from './endings.ts';
import { type Boot, assemble } from './layers.ts';
import { assembleOverlays } from './overlays.ts';

/** How the boot ends if this program is ended before it can tell. The hook reads it (immutafs-pre-pivot.sh). */
const onFailureFile = '/run/immutafs/on-failure';

/** @param root where the root is mounted @returns the exit code (endings.ts) */
export function bootInInitramfs(context: Context, root: string): number {
  const boot = early(context);
  const ending = checkIdentity(boot, root);
  if (ending !== undefined) return endForImpostor(boot, ending);
  const { values, warnings } = readConfig(boot.reader, `${root}/etc/immutafs/immutafs.conf`);
  boot.native.makeDirectory('/run/immutafs');
  onFile(onFailureFile, () => boot.native.write(onFailureFile, `${values.ON_FAILURE}\n`));
  for (const warning of warnings) boot.warn(warning);
  try {
    return assembleInInitramfs(boot, root, values);
  } catch (error) {
    // An unexpected error ends the boot like a /var that cannot be assembled.
    boot.native.print(2, `immutafs: the boot failed: ${errorMessage(error)}\n`);
    return failureCode(values.ON_FAILURE);
  }
}

function assembleInInitramfs(boot: Early, root: string, config: BootConfig['values']): number {
  const { reader } = boot;
  const mounts = readMounts(reader);
  const decision = decideMode(reader, mountAt(mounts, root), config);
  for (const problem of decision.problems) boot.warn(problem);
  const rehearsal = beginRehearsal(boot, root, decision, config);
  const mode = rehearsal === '' ? decision.mode : 'sealed';
  const reason =
    rehearsal === '' ? decision.reason : 'rehearsal of a sealed boot, enforced by the guest alone';
  const { fstab, unknown } = fstabIfKnown(boot, root);
  const full = { ...boot, root, config, fstab };
  const result = mode === 'sealed' ? seal(full, decision) : nothingSealed;
  const error = mode === 'off' ? '' : unknown || result.error || decision.error;
  const record: BootRecord = {
    ...{ stage: 'initramfs', mode, reason, disks: decision.disks, var: result.var },
    ...{ onFailure: config.ON_FAILURE, initramfs: mountAt(mounts, '/')?.device },
    ...{ overlays: result.overlays, rehearsal, error, warnings: boot.warnings },
  };
  writeBootEnv(boot, record);
  bindLocalConfig(full, mode === 'sealed');
  if (mode === 'sealed') {
    mountReadOnlyEarly(full);
    hideSystemdOptions(boot);
    setMountOptionsEarly(full, result.var === 'overlay');
  }
  const failed = error === '' ? '' : ` failed: ${error}`;
  boot.native.print(2, `immutafs: ${mode}: ${reason}; /var${failed}\n`);
  return error === '' ? 0 : failureCode(config.ON_FAILURE);
}

type Result = Pick<BootRecord, 'var' | 'overlays' | 'error'>;

const nothingSealed: Result = { var: 'disk', overlays: [], error: '' };

function fstabIfKnown({ reader }: Early, root: string): { fstab: Boot['fstab']; unknown: string } {
  let fstab: Boot['fstab'] = [];
  const refusal = refusalOf(() => {
    fstab = readFstab(reader, `${root}/etc/fstab`);
  });
  return { fstab, unknown: refusal === undefined ? '' : `/etc/fstab is unknown: ${refusal.reason}` };
}

function seal(boot: Boot & Early, decision: Decision): Result {
  const { disks } = decision;
  // The overlays may need these volumes.
  activateSealedVolumes(boot, boot.fstab);
  // Warnings of a root that the host did not seal would say nothing new.
  if (disks.length > 0 && disks.every(isByHost)) warnOfOpenDisks(boot);
  const { state, error } = assembleVar(boot);
  // Before the bind mounts, which an overlay on /etc would hide.
  return { var: state, error, overlays: assembleOverlays(boot) };
}

function isByHost({ readOnly, evidence }: Decision['disks'][number]): boolean {
  return readOnly && evidence !== 'flag' && evidence !== 'stack';
}

function assembleVar(boot: Boot): { state: BootRecord['var']; error: string } {
  const { reader, root, fstab } = boot;
  if (mountAt(readMounts(reader), `${root}/var`)?.type === 'overlay') return { state: 'overlay', error: '' };
  // Another file system is mounted on /var later and would hide an overlay on the root's own /var.
  if (howVarIsMounted(reader, fstab, root).by !== 'own') return { state: 'deferred', error: '' };
  const refusal = refusalOf(() => assemble(boot, '/var', undefined));
  return refusal === undefined ? { state: 'overlay', error: '' } : { state: 'failed', error: refusal.reason };
}

/**
 * Warns of each directory with programs of the system that fstab mounts from a disk that the host left writable, although it made the
 * disk of the root read-only. The check host-enforced then fails.
 */
function warnOfOpenDisks({ reader, fstab, warn }: Boot & Early): void {
  for (const { target, source, isDevice } of fstab) {
    if (target === '/' || !isOfPrograms(target) || !isDevice) continue;
    const found = disksOfSource(reader, source);
    if (found === undefined || found.disks.length === 0 || found.state === 'sealed') continue;
    warn(
      `${target} is on a disk that the host left writable (${found.disks.map(wordOf).join(' ')}): this guest is not sealed. Make this disk read-only on the host`,
    );
  }
}
