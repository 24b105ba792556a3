import type { Guest } from './guest.ts';

/** The guest's clock in seconds; it booted 100 s ago. */
export const now = Date.parse('2026-03-04T05:06:07.089Z') / 1000;

/** Returns the line of find(1) for a file. @param text "SECONDS-AGO REST" */
export function record(text: string): string {
  const [, ago = '', rest = ''] = /^(\S+) (.*)$/s.exec(text) ?? [];
  return `${now - Number(ago)} ${rest}\0`;
}

/** A program in /opt with a file that it writes. */
export const agent = { 'opt/agent/state': 'x', 'opt/agent/bin': '' };
/** The program runs and has the file open. */
export const openState = {
  ...agent,
  'proc/900/comm': 'agentd\n',
  'proc/900/fd/3': { linkTo: '/opt/agent/state' },
  'proc/900/fdinfo/3': 'flags:\t0100001\n',
};
export const runs = (exe: string, cmdline = exe): Guest['files'] => ({
  ...agent,
  'proc/900/comm': 'agentd\n',
  'proc/900/exe': { linkTo: exe },
  'proc/900/cmdline': `${cmdline.replaceAll(' ', '\0')}\0`,
});
