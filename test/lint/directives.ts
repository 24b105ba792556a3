import fs from 'node:fs';
import { directives } from './systemd-219.ts';
import { unitFiles } from './units.ts';

/** Values that systemd 219 (RHEL 7) does not support, although it supports the directives. */
const tooNew: { pattern: RegExp; why: string }[] = [
  { pattern: /^Exec\w+=[-@]*[+!:|]/, why: '219 takes the prefix for part of the path' },
  { pattern: /^SystemCallFilter=.*@/, why: '219 has no sets of system calls' },
  { pattern: /^ProtectSystem=strict/, why: '219 has yes and full' },
  { pattern: /^Type=(exec|notify-reload)/, why: '219 has simple, forking, oneshot, dbus, notify, idle' },
  { pattern: /^PrivateTmp=yes/, why: '219 does not start it where /var/tmp is read-only' },
  { pattern: /^Standard(Output|Error)=(append|file|truncate|fd):/, why: '219 has no files' },
];

/**
 * Finds lines of our units that systemd 219 ignores, so that a unit would be less confined or have different time
 * limits on RHEL 7. Also finds units that systemd 219 rejects, and units that would wait for a hung child process of
 * the agent.
 * @returns one line per problem
 */
export function bootDirectives(): string {
  const problems = unitFiles().flatMap((unit) => {
    const lines = fs.readFileSync(unit, 'utf8').split('\n');
    return [...lineProblems(lines), ...unitProblems(lines)].map((problem) => `${unit}:${problem}`);
  });
  return problems.join('\n');
}

/**
 * @param lines of one unit or drop-in
 * @returns one string per problem, beginning with the line number
 */
export function lineProblems(lines: readonly string[]): string[] {
  let section = '';
  return lines.flatMap((line, index) => {
    section = /^\[(.*)\]$/.exec(line)?.[1] ?? section;
    const [, name] = /^([A-Za-z]\w*)\s*=/.exec(line) ?? [];
    const unknown = name !== undefined && directives.get(section)?.has(name) !== true;
    const reasons = [
      ...(unknown ? [`unknown to 219 in [${section}]`] : []),
      ...tooNew.filter(({ pattern }) => pattern.test(line)).map(({ why }) => why),
    ];
    return reasons.map((why) => `${index + 1}: ${line}: ${why}`);
  });
}

function unitProblems(lines: readonly string[]): string[] {
  const has = (pattern: RegExp) => lines.some((line) => pattern.test(line));
  return [
    ...(has(/^Type=oneshot$/) && has(/^Restart=(?!no$)/) ? [' 219 rejects Restart= of a oneshot'] : []),
    // The agent leaves a child behind that a file system keeps from ending (agent/system/exec.ts).
    ...(has(/^ExecStart=[-@]*\/usr\/bin\/immutafs-agent check\b/) && !has(/^KillMode=process$/)
      ? [' without KillMode=process systemd waits for a child that hangs']
      : []),
  ];
}
