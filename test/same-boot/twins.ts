import type { BootOptions } from '../vm/harness/guest.ts';
import { type Action, type Ending, type Session, devices, systemdVariable, targetUuids } from './grammar.ts';
import type { kinds } from './guest.ts';

/** A guest that lacks a protection, so that the campaign must find differences. */
export interface Twin {
  /** The guest for which the protection matters. */
  kind: keyof typeof kinds;
  /** Options of each boot. */
  boot?: Partial<BootOptions>;
  /** Whether the first boot finds the swap space that the kernel command line names, for which it would wait. */
  hasSwap?: boolean;
  /** Files of the initramfs that are replaced. */
  initramfs?: Record<string, string | { copyOf: string }>;
  /** Further items of PERSIST. */
  persist?: readonly string[];
  /** What a session does last, so that each session has an attack that the protection prevents. */
  foothold?: { action: Action } | { ending: Ending };
}

const program = 'usr/libexec/immutafs/immutafs-boot';
const generator = 'usr/lib/systemd/system-generators/systemd-hibernate-resume-generator';
const resume = 'systemd-hibernate-resume.service';

const planted: Action = ['write', '/etc/systemd/system/planted.service'];

export const twins = {
  /** The host left the system disk writable. */
  unsealed: { kind: 'lvm', boot: { disk: 'writable' }, foothold: { action: planted } },
  /** udev gives sealed disks no links of their own, and prefers the links of an attacker's disk. */
  impostor: {
    kind: 'uefi',
    initramfs: {
      'usr/lib/udev/rules.d/66-immutafs-readonly.rules':
        'SUBSYSTEM=="block", KERNEL=="vdf", OPTIONS+="link_priority=10"\n',
    },
    foothold: { action: ['impostor', devices.spare, targetUuids.root] },
  },
  /** PERSIST keeps a directory from which systemd starts programs. */
  persist: {
    kind: 'lvm',
    persist: ['/etc/systemd/system:autostart'],
    foothold: { action: planted },
  },
  /** The initramfs does not hide the EFI variable with kernel arguments. */
  variables: {
    kind: 'uefi',
    initramfs: {
      [program]: `#!/bin/sh
[ "$1" = initramfs ] || exec "$0.original" "$@"
mv /run/systemd/efivars /run/systemd/efivars.away
umount /sys/firmware/efi/efivars
"$0.original" "$@"
code=$?
mv /run/systemd/efivars.away /run/systemd/efivars
exit $code
`,
      [`${program}.original`]: { copyOf: program },
    },
    foothold: {
      action: ['variable', systemdVariable('SystemdOptions'), 'systemd.mask=immutafs-check.timer'],
    },
  },
  /** The initramfs resumes from hibernation. */
  resume: {
    kind: 'lvm',
    initramfs: {
      'etc/cmdline': '',
      [`etc/systemd/system-generators/${generator.split('/').at(-1)}`]: { copyOf: generator },
      [`etc/systemd/system/${resume}`]: { copyOf: `usr/lib/systemd/system/${resume}` },
      'usr/lib/systemd/systemd-hibernate-resume': { copyOf: 'usr/lib/systemd/systemd-hibernate-resume' },
    },
    hasSwap: true,
    foothold: { ending: 'hibernation' },
  },
} as const satisfies Record<string, Twin>;

/** Adds what a twin's sessions do last. */
export function withFoothold(session: Session, { foothold }: Twin): Session {
  if (foothold === undefined) return session;
  if ('ending' in foothold) return { ...session, ending: foothold.ending };
  return { ...session, actions: [...session.actions, foothold.action] };
}
