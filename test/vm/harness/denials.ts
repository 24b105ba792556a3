import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Edit } from './disk.ts';
import type { Boot } from './guest.ts';
import { labelFiles } from './mounts.ts';

/**
 * Prints SELinux denials since power-on: denials before the start of auditd from the kernel log, later denials from
 * audit.log and from the files into which it was rotated.
 */
export const denialsStep = '{ dmesg; cat /var/log/audit/audit.log*; } | grep "avc: *denied"';

/** Where the script that prints denials at power-off is. */
const atPowerOff = 'usr/lib/systemd/system-shutdown/denials';

/** Lets the guest print the denials of the whole boot on the console when all units have stopped. */
export const printDenialsAtPowerOff: Edit = async (root, mounts) => {
  const script = `#!/bin/sh\n${denialsStep} | sed 's/^/at power-off: /' >/dev/ttyS0\n`;
  await writeFile(join(root, atPowerOff), script, { mode: 0o755 });
  await labelFiles(mounts, `/${atPowerOff}`);
};

/** Returns the lines that `printDenialsAtPowerOff` has printed. auditd no longer runs then. */
export function linesAtPowerOff({ console: text }: Boot): string[] {
  const lines = text.split('\n').filter((line) => line.includes('at power-off: '));
  assert.ok(lines.length > 0, 'the denials were collected');
  return lines;
}

/**
 * Returns the denials of a boot as a sorted set: "scontext-type tcontext-type class permission", one for each permission
 * (avc messages: security/selinux/avc.c).
 *
 * @throws if there are none: Debian's policy always denies systemd some accesses, so the collection failed
 */
export function denialsOf(boot: Boot, step = 'denials'): string[] {
  const denials = parseDenials(boot.step(step).stdout);
  if (denials.length === 0) throw new Error(`no denials: ${boot.step(step).stderr}`);
  return denials;
}

/** @throws if a line is not a denial */
export function parseDenials(text: string): string[] {
  const lines = text.split('\n').filter((line) => line !== '');
  return [...new Set(lines.flatMap(parseLine))].sort();
}

function parseLine(line: string): string[] {
  const [, permissions] = /avc: +denied +\{ ([^}]+) \}/.exec(line) ?? [];
  const type = (which: string): string | undefined =>
    new RegExp(`\\b${which}=[^:\\s]+:[^:\\s]+:([^:\\s]+)`).exec(line)?.[1];
  const [source, target] = [type('scontext'), type('tcontext')];
  const [, kind] = /\btclass=(\S+)/.exec(line) ?? [];
  if (permissions === undefined || source === undefined || target === undefined || kind === undefined) {
    throw new Error(`not a denial: ${line}`);
  }
  return permissions.split(' ').map((permission) => `${source} ${target} ${kind} ${permission}`);
}

/** Kernel arguments with which the kernel log has all denials: they are not dropped, and do not overwrite each other. */
export const completeLog = ['log_buf_len=4M', 'sysctl.kernel.printk_ratelimit=0'];

/**
 * Denials that concern the package: of its domains and types, of its programs in other domains, of any program on the
 * file systems that it mounts, and of labels that it should have set.
 */
const ofPackage =
  /immutafs|comm="(persist-directo|immutafs-boot|set-mount-opti|start-forwarder)"|dev="overlay"|tcontext=\S+:(unlabeled_t:|tmpfs_t:\S+ tclass=dir)/;

/** @param withoutPackage denials that look like those of the package, and that the guest also has without it */
export const denialsOfPackage = (lines: readonly string[], withoutPackage: readonly RegExp[]): string[] =>
  lines.filter((line) => ofPackage.test(line) && !withoutPackage.some((each) => each.test(line)));
