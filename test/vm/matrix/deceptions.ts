/** Steps in which root of a sealed guest tries to deceive the agent. Each step except the last undoes its change. */
import { look } from '../harness/scenario.ts';

const { status } = look;
const line = '1 0 252:0 / / ro - xfs /dev/vda ro';

/**
 * Deceptions for which the agent reports an error. By step: the script that root runs, and what `kernel-view` observes.
 */
export const undecidable: Record<string, [script: string, observed: RegExp]> = {
  mountinfo: [
    `echo '${line}' >/run/fake; exec sh -c 'mount --bind /run/fake /proc/$$/mountinfo; exec ${status}'`,
    /not the kernel's procfs/,
  ],
  'other-mountinfo': [
    `unshare -m sleep 90 & other=$!; until [ "$(readlink /proc/$other/ns/mnt)" != "$(readlink /proc/self/ns/mnt)" ]; do sleep 0.1; done; sh -c "mount --bind /proc/$other/mountinfo /proc/\\$\\$/mountinfo; exec ${status}"; code=$?; kill $other; exit $code`,
    /another mount namespace or another root|is mounted over/,
  ],
  sys: [`mount -t tmpfs evil /sys; ${status}; code=$?; umount /sys; exit $code`, /./],
  flag: [
    `echo 1 >/run/one; flag=$(realpath /sys/class/block/vdb/ro); mount --bind /run/one "$flag"; ${status}; code=$?; umount "$flag"; exit $code`,
    /tmpfs is mounted over \/sys\/devices\/.*\/ro/,
  ],
  cmdline: [
    `echo immutafs=off >/run/cmdline; mount --bind /run/cmdline /proc/cmdline; ${status}; code=$?; umount /proc/cmdline; exit $code`,
    /tmpfs is mounted over \/proc\/cmdline/,
  ],
  namespace: [`unshare --mount ${status}`, /another mount namespace/],
  'pid-namespace': [`unshare --pid --fork --mount-proc ${status}`, /not in the initial pid namespace/],
  'user-namespace': [`unshare --user --map-root-user ${status}`, /not in the initial user namespace/],
  chroot: [
    `mkdir /run/c; mount --rbind --make-rslave / /run/c 2>/dev/null || mount --rbind / /run/c; mount --make-rslave /run/c; chroot /run/c ${status}; code=$?; umount -R -l /run/c; exit $code`,
    /another root/,
  ],
};

/**
 * Deceptions that the agent detects. By step: the script that root runs, the checks that fail, and what the first of
 * these checks observes.
 */
export const detected: Record<string, [script: string, failing: string[], observed: RegExp]> = {
  'var-tmpfs': [
    `mount -t tmpfs -o nosuid,nodev overlay /var; ${status}; code=$?; umount /var; exit $code`,
    ['var-overlay', 'stacked-mounts'],
    /\/var is tmpfs, not overlay/,
  ],
  'var-overlay': [
    `mkdir -p /run/e/u /run/e/w; mount -t overlay -o nosuid,nodev,lowerdir=/run/immutafs/lower,upperdir=/run/e/u,workdir=/run/e/w x /var; ${status}; code=$?; umount /var; exit $code`,
    ['var-overlay', 'mount-options', 'stacked-mounts'],
    /no upperdir=\/run\/var\/upper/,
  ],
  lower: [
    `mount -o remount,bind,rw,nosuid,nodev,noexec /run/immutafs/lower; ${status}; code=$?; mount -o remount,bind,ro,nosuid,nodev,noexec /run/immutafs/lower; exit $code`,
    ['var-overlay'],
    /lower is not mounted read-only/,
  ],
  home: [
    `mount -t tmpfs -o noexec,nosuid,nodev,mode=0755 evil /home; ${status}; code=$?; umount /home; exit $code`,
    ['stacked-mounts'],
    /\/home is tmpfs \(evil\); hidden: xfs/,
  ],
  propagated: [
    `mkdir -p /run/p; mount --bind /home /run/p; mount --make-shared /run/p; mount -t tmpfs -o nosuid,nodev evil /run/p/alice; ${status}; code=$?; umount /run/p/alice; umount /run/p; exit $code`,
    ['home-options'],
    /tmpfs at \/home\/alice without noexec/,
  ],
  configuration: [
    `echo REQUIRE_OPTIONS= >/run/conf; mount --bind /run/conf /etc/immutafs/immutafs.conf; ${status}; code=$?; umount /etc/immutafs/immutafs.conf; exit $code`,
    ['stacked-mounts'],
    /\/etc\/immutafs\/immutafs\.conf is tmpfs \(tmpfs\), not what was sealed/,
  ],
  report: [
    `printf 'MODE=maintenance\\n' >>/run/immutafs/boot.env; ${status}; code=$?; sed -i '$d' /run/immutafs/boot.env; exit $code`,
    [],
    /^$/,
  ],
  // This must be the last step, because the mount cannot be unmounted.
  root: [
    `mount -t tmpfs -o ro evil /; ${status}`,
    ['stacked-mounts'],
    /\/ is xfs .*; hidden: tmpfs \(evil\)/,
  ],
};
