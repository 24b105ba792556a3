/** Steps in which root of a sealed guest tries to deceive the agent. Each step except the last undoes its change. */
import { look } from '../harness/scenario.ts';

const { status } = look;

/**
 * Deceptions for which the agent reports an error; test/system/fooling.test.ts has more. By step: the script that root
 * runs, and what `kernel-view` observes.
 */
export const undecidable: Record<string, [script: string, observed: RegExp]> = {
  cmdline: [
    `echo immutafs=off >/run/cmdline; mount --bind /run/cmdline /proc/cmdline; ${status}; code=$?; umount /proc/cmdline; exit $code`,
    /tmpfs is mounted over \/proc\/cmdline/,
  ],
  namespace: [`unshare --mount ${status}`, /another mount namespace/],
  'user-namespace': [`unshare --user --map-root-user ${status}`, /not in the initial user namespace/],
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
    ['persistent-mounts', 'home-options'],
    /\/run\/p is xfs \(.*\): neither \/etc\/fstab nor DATA names it/,
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
