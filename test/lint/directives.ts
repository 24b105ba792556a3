import fs from 'node:fs';
import { directives, newerDirectives } from './systemd-219.ts';
import { dropinFiles, unitFiles } from './units.ts';

/** Values that systemd 219 (RHEL 7) does not support, although it supports the directives. */
const tooNew: { pattern: RegExp; why: string; since?: number }[] = [
  { pattern: /^Exec\w+=[-@]*[+!:|]/, why: '219 takes the prefix for part of the path' },
  { pattern: /^SystemCallFilter=.*@/, why: '219 has no sets of system calls', since: 231 },
  { pattern: /^ProtectSystem=strict/, why: '219 has yes and full', since: 232 },
  { pattern: /^Type=(exec|notify-reload)/, why: '219 has simple, forking, oneshot, dbus, notify, idle' },
  { pattern: /^PrivateTmp=yes/, why: '219 does not start it where /var/tmp is read-only' },
  { pattern: /^Standard(Output|Error)=(append|file|truncate|fd):/, why: '219 has no files' },
];

/**
 * Finds lines of our units that systemd 219 ignores, so that a unit would be less confined or have different time
 * limits on RHEL 7, and lines of drop-ins that the oldest version which reads them ignores. Also finds units that systemd 219 rejects, and units that would wait for a hung child process of
 * the agent.
 * @returns one line per problem
 */
export function bootDirectives(): string {
  const problems = unitFiles().flatMap((unit) => {
    const lines = fs.readFileSync(unit, 'utf8').split('\n');
    return [...lineProblems(lines), ...unitProblems(lines)].map((problem) => `${unit}:${problem}`);
  });
  return [...problems, ...dropinFiles().flatMap(dropinProblems)].join('\n');
}

function dropinProblems(file: string): string[] {
  const [, kind, limit] = /-(since|before)-(\d+)\.conf$/.exec(file) ?? [];
  if (kind === undefined) return [`${file}: the name does not end in -since-N.conf or -before-N.conf`];
  const lines = fs.readFileSync(file, 'utf8').split('\n');
  return lineProblems(lines, kind === 'since' ? Number(limit) : 219).map((problem) => `${file}:${problem}`);
}

/**
 * @param lines of one unit or drop-in
 * @param version the oldest version of systemd that reads them
 * @returns one string per problem, beginning with the line number
 */
export function lineProblems(lines: readonly string[], version = 219): string[] {
  let section = '';
  return lines.flatMap((line, index) => {
    section = /^\[(.*)\]$/.exec(line)?.[1] ?? section;
    const [, name] = /^([A-Za-z]\w*)\s*=/.exec(line) ?? [];
    const known =
      name === undefined ||
      directives.get(section)?.has(name) === true ||
      (section === 'Service' && (newerDirectives.get(name) ?? Infinity) <= version);
    const reasons = [
      ...(known ? [] : [`unknown to ${version} in [${section}]`]),
      ...tooNew
        .filter(({ pattern, since = Infinity }) => version < since && pattern.test(line))
        .map(({ why }) => why),
    ];
    return reasons.map((why) => `${index + 1}: ${line}: ${why}`);
  });
}

function unitProblems(lines: readonly string[]): string[] {
  const has = (pattern: RegExp) => lines.some((line) => pattern.test(line));
  return [
    ...(has(/^Type=oneshot$/) && has(/^Restart=(?!no$)/) ? [' 219 rejects Restart= of a oneshot'] : []),
    ...(has(/^Type=oneshot$/) && has(/^ExecStopPost=/)
      ? [' 219 does not run ExecStopPost= of a oneshot that fails']
      : []),
    // The agent leaves a child behind that a file system keeps from ending (agent/system/exec.ts).
    ...(has(/^ExecStart=[-@]*\/usr\/bin\/immutafs-agent check\b/) && !has(/^KillMode=process$/)
      ? [' without KillMode=process systemd waits for a child that hangs']
      : []),
  ];
}
