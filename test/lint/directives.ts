import fs from 'node:fs';
import { directives } from './systemd-219.ts';
import { unitFiles } from './units.ts';

/** Where systemd 219 (RHEL 7) knows the directive, but not what is asked of it. */
const tooNew: { pattern: RegExp; why: string }[] = [
  { pattern: /^Exec\w+=[-@]*[+!:|]/, why: 'a prefix that 219 takes for part of the path' },
  { pattern: /^SystemCallFilter=.*@/, why: '219 has no sets of system calls' },
  { pattern: /^ProtectSystem=strict/, why: '219 has yes and full' },
  { pattern: /^Type=(exec|notify-reload)/, why: '219 has simple, forking, oneshot, dbus, notify, idle' },
  { pattern: /^PrivateTmp=yes/, why: '219 does not start it where /var/tmp is read-only' },
  { pattern: /^Standard(Output|Error)=(append|file|truncate|fd):/, why: '219 has no files' },
];

/**
 * What systemd 219 ignores in our units, so that one would be less confined or less patient there than it looks, and
 * what it refuses.
 */
export function bootDirectives(): string {
  const problems = unitFiles().flatMap((unit) => {
    const lines = fs.readFileSync(unit, 'utf8').split('\n');
    return [...lineProblems(lines), ...wholeProblems(lines)].map((problem) => `${unit}:${problem}`);
  });
  return problems.join('\n');
}

/** @param lines of one unit or drop-in */
export function lineProblems(lines: readonly string[]): string[] {
  let section = '';
  return lines.flatMap((line, index) => {
    section = /^\[(.*)\]$/.exec(line)?.[1] ?? section;
    const [, name] = /^([A-Za-z]\w*)\s*=/.exec(line) ?? [];
    const unknown = name !== undefined && directives.get(section)?.has(name) !== true;
    const whys = [
      ...(unknown ? [`unknown to 219 in [${section}]`] : []),
      ...tooNew.filter(({ pattern }) => pattern.test(line)).map(({ why }) => why),
    ];
    return whys.map((why) => `${index + 1}: ${line}: ${why}`);
  });
}

function wholeProblems(lines: readonly string[]): string[] {
  const restarts = lines.some((line) => /^Restart=(?!no$)/.test(line));
  return lines.includes('Type=oneshot') && restarts ? [' 219 refuses Restart= of a oneshot'] : [];
}
