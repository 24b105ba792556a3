/** Units and drop-ins for services of this package and of others, except for what mounts. */
import { cloudInitUnits, provisioningUnits } from '../../agent/facts/boot/provisioning-units.ts';
import { unlessSystemError } from '../../agent/lib/errors.ts';
import { parentOf } from '../../agent/lib/paths.ts';
import { readCommandLine } from '../guest/boot-state.ts';
import { hasOption } from '../guest/fstab.ts';
import { escapePath, isMasked } from '../guest/units.ts';
import { type Guest, hasSystemUnit } from './guest.ts';
import { mountsOfStore, waitFor } from './lists.ts';

// --- the forwarder ------------------------------------------------------------------------------------------

/**
 * Lets the forwarder write to the folder of FORWARD_STATE, and sets the SELinux label of a folder outside /run. Other
 * characters than these would need quoting in a unit, and the forwarder refuses them. Also lets the forwarder see the
 * directories that its unit hides, if the configuration names a file there.
 */
export function addForwardDropin(guest: Guest): void {
  const { config, units, warnings } = guest;
  const { FORWARD_STATE: folder, FORWARD_FILES, FORWARD_CA, FORWARD_CERT, FORWARD_KEY } = config;
  const files = [folder, FORWARD_FILES, FORWARD_CA, FORWARD_CERT, FORWARD_KEY].join(' ').split(/[ \t]+/);
  const hidden = files.map((file) => hiddenDirectory(guest, file));
  const service = hidden.includes('home') ? ['ProtectHome=read-only'] : [];
  if (hidden.includes('keys'))
    service.push('InaccessibleDirectories=', 'InaccessibleDirectories=-/tmp -/var/tmp');
  const isPlain = /^\/[\w./+@:-]*[\w.+@:-]$/.test(folder) && !/\/\.\.?\//.test(folder);
  if (isPlain) service.push(`ReadWriteDirectories=-${folder}`);
  const lines: string[] = [];
  // Not started during the boot if FORWARD is empty. A start after the boot reads the configuration again.
  if (config.FORWARD === '' && warnings.length === 0) {
    const report = 'ConditionPathExists=|/run/immutafs/report.json';
    lines.push('[Unit]', report, 'ConditionDirectoryNotEmpty=|/run/systemd/sessions');
  }
  if (isPlain && !folder.startsWith('/run/')) {
    const label = 'immutafs-forward-state.service';
    lines.push('[Unit]', `Wants=${label}`, `After=${label}`);
  }
  if (service.length > 0) lines.push('[Service]', ...service);
  if (lines.length > 0) units.dropin('immutafs-forward.service', ...lines);
}

/**
 * Returns which of the directories that ProtectHome= and InaccessibleDirectories= hide a file may be in.
 * @param file a path or glob, which may contain symbolic links
 */
function hiddenDirectory({ reader }: Guest, file: string): 'home' | 'keys' | undefined {
  const [before = ''] = file.split(/[*?[]/, 1);
  const prefix = before === file ? file : before.slice(0, Math.max(0, before.lastIndexOf('/')));
  if (file === '') return undefined;
  const resolve = (path: string) => unlessSystemError(() => reader.resolve(path));
  const above = prefix.startsWith('/') && prefix !== '/' ? resolve(parentOf(prefix)) : undefined;
  const name = prefix.slice(prefix.lastIndexOf('/') + 1);
  const real = above === undefined ? prefix : (resolve(prefix) ?? `${above === '/' ? '' : above}/${name}`);
  if (/^(?:\/home|\/root|\/run\/user|\/var\/home|\/var\/roothome)\/|^\/$/.test(`${real}/`)) return 'home';
  return /^\/etc\/(?:ssh|ssl\/private|pki\/tls\/private)\//.test(`${real}/`) ? 'keys' : undefined;
}

// --- the certificate of the host ----------------------------------------------------------------------------

/** Starts what requests and renews the certificate. The host certifies no other boot than a sealed one. */
export function addIdentityUnits({ units }: Guest): void {
  const names = ['service', 'timer', 'path'].map((kind) => `Wants=immutafs-identity.${kind}`);
  units.dropin('multi-user.target', '[Unit]', ...names);
}

// --- services that would change a read-only disk ------------------------------------------------------------

/**
 * Disables SELinux relabelling, which would fail on a read-only disk and reboot in a loop. rhel-autorelabel.service of
 * RHEL 7 and selinux-autorelabel.service of policycoreutils do nothing. selinux-autorelabel.target, the default target
 * of such a boot, starts multi-user.target.
 */
export function disableRelabelling({ reader, units }: Guest): void {
  // Search inside quotes as well, because policycoreutils searches the whole line for the word
  // (selinux-autorelabel-generator.sh).
  if (!readCommandLine(reader).includes('autorelabel') && reader.status('/.autorelabel') === undefined)
    return;
  for (const name of ['rhel-autorelabel', 'selinux-autorelabel']) {
    const nothing = ['ExecStart=', 'ExecStart=/bin/true', 'StandardInput=null'];
    units.dropin(`${name}.service`, '[Service]', ...nothing);
  }
  units.dropin('selinux-autorelabel.target', '[Unit]', 'Wants=multi-user.target');
}

/**
 * Lets systemd alone unmount file systems. When a shutdown or a soft reboot stops blk-availability.service of LVM, its
 * blkdeactivate(8) -u unmounts the file systems on device-mapper devices wherever they are mounted, except on / and a few
 * other directories, and so the mounts of the lower layers. The command without -u still stops the queueing of multipath
 * devices; these options exist in all versions of LVM since RHEL 7.
 */
export function leaveUnmountingToSystemd({ reader, units }: Guest): void {
  const unit = 'blk-availability.service';
  if ((reader.status(`/usr/lib/systemd/system/${unit}`)?.size ?? 0) === 0) return;
  const stop = 'ExecStop=/usr/sbin/blkdeactivate -l wholevg -m disablequeueing';
  units.dropin(unit, '[Service]', 'ExecStop=', stop);
}

// --- services that configure the guest ----------------------------------------------------------------------

/**
 * Masks these units in a sealed boot with empty files of early priority, which override /etc (systemd.unit(5)):
 * - cloud-init reads user data from any disk with the label cidata or config-2 in every boot, and a new instance-id there
 *   makes it run the user data again (RHEL 7 to 10);
 * - Afterburn reads SSH keys from a disk with the label config-2 (RHEL CoreOS).
 * These services configured the guest before it was sealed. With SEED=host, cloud-init configures it in every sealed boot.
 */
export function maskProvisioning(guest: Guest): void {
  const isFromSeed = guest.config.SEED === 'host';
  if (isFromSeed) runCloudInitFromSeed(guest);
  maskUnits(
    guest,
    isFromSeed ? provisioningUnits.filter((unit) => !cloudInitUnits.includes(unit)) : provisioningUnits,
  );
}

/**
 * In maintenance: the disk must not get the identity of one guest, and cloud-init must not read a seed that root may have
 * written to another disk. Lets sshd generate missing host keys although cloud-init, which is masked, would do so: with a
 * drop-in of the package cloud-init (disable-sshd-keygen-if-cloud-init-active.conf, RHEL 8 and later), sshd-keygen@.service
 * does not start if cloud-init's generator has found a data source, such as the seed. An empty condition resets all
 * (systemd.unit(5)).
 */
export function maskCloudInit(guest: Guest): void {
  maskUnits(guest, cloudInitUnits);
  if (!hasSystemUnit(guest, 'sshd-keygen@.service')) return;
  const condition = 'ConditionFileNotEmpty=|!/etc/ssh/ssh_host_%i_key';
  guest.units.dropin('sshd-keygen@.service', '[Unit]', 'ConditionPathExists=', condition);
}

function maskUnits(guest: Guest, names: readonly string[]): void {
  for (const unit of names) if (hasSystemUnit(guest, unit)) guest.units.mask(unit);
}

/**
 * Lets the units of cloud-init start only after immutafs-seed.service has copied the seed. cloud-init's own generator pulls in
 * cloud-init.target only if it finds a data source itself, and it does not know the copy. Lets sshd generate host keys only
 * if cloud-init and the seed have written none: keys of other types than those of the seed would be new at every boot.
 */
function runCloudInitFromSeed(guest: Guest): void {
  const { units } = guest;
  const seed = 'immutafs-seed.service';
  for (const unit of cloudInitUnits.filter((name) => hasSystemUnit(guest, name)))
    units.dropin(unit, '[Unit]', `After=${seed}`, 'ConditionPathExists=/run/immutafs/seed/ready');
  const target = hasSystemUnit(guest, 'cloud-init.target') ? ['Wants=cloud-init.target'] : [];
  units.dropin(
    'multi-user.target',
    '[Unit]',
    `Wants=${seed}`,
    'Wants=immutafs-seed-finish.service',
    ...target,
  );
  const order = [seed, 'cloud-init.service', 'cloud-init-network.service'].map((unit) => `After=${unit}`);
  for (const unit of ['sshd-keygen.service', 'sshd-keygen@.service'])
    if (hasSystemUnit(guest, unit))
      units.dropin(unit, '[Unit]', ...order, 'ConditionPathExistsGlob=!/etc/ssh/ssh_host_*_key');
}

// --- rehearsals and moves -----------------------------------------------------------------------------------

/**
 * Writes a timer that ends the rehearsal at its limit, and starts the recorder. The timer is part of sysinit.target and
 * has no dependencies, so that it also runs if /var cannot be mounted or if a unit prevents the boot from completing.
 * emergency.target does not stop it.
 */
export function addRehearsalUnits({ state: { rehearsal = '' }, units }: Guest): void {
  if (!/^\d+$/.test(rehearsal)) return;
  units.file(
    'immutafs-rehearsal-limit.timer',
    ...[
      '[Unit]',
      'Description=End the rehearsal of a sealed boot',
      'DefaultDependencies=no',
      'IgnoreOnIsolate=yes',
    ],
    ...['[Timer]', `OnBootSec=${rehearsal}`, 'AccuracySec=1s', 'Unit=immutafs-rehearsal-limit.service'],
  );
  const [timer, recorder] = ['immutafs-rehearsal-limit.timer', 'immutafs-rehearsal.service'];
  units.link(`sysinit.target.wants/${timer}`, `../${timer}`);
  units.link(`multi-user.target.wants/${recorder}`, `/usr/lib/systemd/system/${recorder}`);
}

/** What udev and the mounts of fstab need instead of sysinit.target. */
const neededForMounts = [
  ...[
    'kmod-static-nodes.service',
    'systemd-modules-load.service',
    'systemd-tmpfiles-setup-dev-early.service',
  ],
  ...['systemd-tmpfiles-setup-dev.service', 'systemd-udevd.service', 'systemd-udev-trigger.service'],
  ...['systemd-journald.service', 'lvm2-lvmetad.socket', 'lvm2-lvmpolld.socket', 'dm-event.socket'],
  'multipathd.service',
  // Encrypted disks, and what prompts for their passphrases.
  ...['cryptsetup.target', 'integritysetup.target', 'veritysetup.target'],
  ...['systemd-ask-password-console.path', 'systemd-ask-password-plymouth.path'],
];

/** Makes immutafs-move.target the default target of this boot. */
export function addMoveUnits(guest: Guest): void {
  const { units } = guest;
  units.earlyLink('default.target', '/usr/lib/systemd/system/immutafs-move.target');
  // systemd 219 logs an error for every unit that is wanted and does not exist.
  const wanted = neededForMounts.filter((unit) => hasSystemUnit(guest, unit));
  units.dropin('immutafs-move.target', '[Unit]', ...wanted.map((unit) => `Wants=${unit}`));
  const late = new Set(lateMounts(guest));
  if (late.size > 0) units.dropin('immutafs-move.service', '[Unit]', ...late);
  if (['service', 'target'].some((type) => isMasked(guest.reader, `/etc/systemd/system/emergency.${type}`)))
    return;
  // Instead of an emergency shell in each boot that should move: an ordinary boot, which shows what could not be mounted. Only
  // emergency.service runs then: the data would move while its file systems are missing, and the reboot at the end would keep
  // the marker.
  const move = 'ExecStartPre=-/usr/libexec/immutafs/immutafs-boot move-abandon';
  units.dropin('emergency.service', '[Service]', move);
  for (const unit of ['immutafs-move.service', 'immutafs-move-end.service'])
    units.dropin(unit, '[Unit]', 'Requires=local-fs.target');
}

/** Returns lines that make the move wait for what local-fs.target does not wait for: the store, and what fstab mounts `nofail`. */
function lateMounts(guest: Guest): string[] {
  const late = guest.fstab.filter((line) => line.target.startsWith('/') && hasOption(line, 'nofail'));
  return [
    ...mountsOfStore(guest).flatMap((unit) => waitFor(guest, unit)),
    ...late.map(({ target }) => `After=${escapePath(target)}.mount`),
  ];
}
