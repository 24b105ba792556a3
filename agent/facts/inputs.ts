import { bootEnvFile } from './boot/boot-env.ts';
import { persistRecords, scratchDeviceRecord, scratchRecords } from './boot/kept-paths.ts';
import { bootStateFile, reportFile } from './records.ts';
import { sessionsFolder } from './sessions.ts';
import { isBelow } from './mounts/mountinfo.ts';

/**
 * The files and directories on which the results of the agent depend. A mount over one of them, also over a single file
 * in a directory, replaces what was sealed. test/unit/facts/facts.test.ts verifies that the sources name no other
 * program and no other file in /etc and /run.
 */
const inputs: readonly string[] = [
  // The programs that the agent runs, and the libraries that they load.
  ...['/usr/bin', '/usr/sbin', '/usr/libexec', '/usr/lib', '/usr/lib64'],
  ...['/bin', '/sbin', '/lib', '/lib64', '/etc/ld.so.cache', '/etc/ld.so.preload'],
  ...['/etc/immutafs', '/etc/fstab', '/etc/mtab', '/etc/selinux', '/etc/sysconfig', '/etc/os-release'],
  ...['/etc/overlayroot.conf', '/etc/overlayroot.local.conf', '/etc/cloud', '/etc/systemd'],
  ...['/etc/passwd', '/etc/group', '/etc/skel', '/etc/audit', '/etc/pki', '/etc/ssl', '/etc/ssh'],
  ...['/etc/logrotate.conf', '/etc/logrotate.d'],
  ...[bootEnvFile, reportFile, persistRecords, scratchRecords, scratchDeviceRecord, bootStateFile],
  ...['/run/immutafs/usage.json', '/run/immutafs/changes.seen', sessionsFolder],
  ...[
    '/run/immutafs/forward',
    '/run/immutafs/identity',
    '/run/immutafs/seed',
    '/run/udev',
    '/run/cloud-init',
    '/run/auditd.pid',
  ],
  ...['/run/systemd/system', '/run/systemd/units', '/run/systemd/generator', '/run/systemd/generator.early'],
];

/** Mount points that contain inputs, and of which other rules and checks verify what is mounted there. */
const roots = ['/', '/etc', '/run', '/usr'];

/** Whether a path is an input, or is in a directory of inputs. */
export function isInput(path: string): boolean {
  return inputs.some((input) => isBelow(path, input));
}

/** Whether a mount at a target covers an input. */
export function coversInput(target: string): boolean {
  return isInput(target) || (!roots.includes(target) && inputs.some((input) => isBelow(input, target)));
}
