import type { Boot } from './guest.ts';

/**
 * Prints SELinux denials since power-on: denials before the start of auditd from the kernel log, later denials from
 * audit.log.
 */
export const denialsStep = '{ dmesg; cat /var/log/audit/audit.log; } | grep "avc: *denied"';

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
