import fs from 'node:fs';
import { unitFiles } from './units.ts';

/**
 * What systemd 219 (RHEL 7) does not know: it ignores most of it, so that a unit would be less confined or less
 * patient there than it looks, and it refuses some.
 */
const tooNew: { pattern: RegExp; why: string }[] = [
  { pattern: /^Exec\w+=[-@]*[+!:|]/, why: 'a prefix that 219 takes for part of the path' },
  { pattern: /^SystemCallFilter=.*@/, why: '219 has no sets of system calls' },
  { pattern: /^ProtectSystem=strict/, why: '219 has yes and full' },
  { pattern: /^Type=(exec|notify-reload)/, why: '219 has simple, forking, oneshot, dbus, notify, idle' },
  { pattern: /^Standard(Output|Error)=(append|file|truncate|fd):/, why: '219 has no files' },
  { pattern: /^(ReadWrite|ReadOnly|Inaccessible)Paths=/, why: '219 has …Directories=' },
  { pattern: /^(State|Cache|Logs|Configuration)Directory(Mode)?=/, why: '219 has RuntimeDirectory= only' },
  {
    pattern:
      /^(DynamicUser|Protect(Kernel|Control|Clock|Host|Proc)\w*|Restrict(Namespaces|Realtime|SUIDSGID)|LockPersonality|MemoryDenyWriteExecute|PrivateUsers|ProcSubset|UMask.*:)=/,
    why: 'unknown to 219',
  },
  { pattern: /^Memory(Max|High|Low|SwapMax)=/, why: '219 has MemoryLimit=' },
  {
    pattern:
      /^(TasksMax|IOWeight|CPUWeight|IPAddress\w+|ExecCondition|RuntimeMaxSec|OnFailureJobMode.*:|CollectMode)=/,
    why: 'unknown to 219',
  },
  {
    pattern:
      /^(Condition|Assert)(Memory|CPUs|Environment|KernelVersion|ControlGroupController|Firmware|OSRelease|User|Group|Credential)=/,
    why: 'unknown to 219',
  },
];

export function bootDirectives(): string {
  const problems = unitFiles().flatMap((unit) => {
    const lines = fs.readFileSync(unit, 'utf8').split('\n');
    return [
      ...lines.flatMap((line, index) => lineProblems(unit, line, index + 1)),
      ...wholeProblems(unit, lines),
    ];
  });
  return problems.join('\n');
}

function lineProblems(unit: string, line: string, number: number): string[] {
  return tooNew
    .filter(({ pattern }) => pattern.test(line))
    .map(({ why }) => `${unit}:${number}: ${line}: ${why}`);
}

function wholeProblems(unit: string, lines: readonly string[]): string[] {
  const restarts = lines.some((line) => /^Restart=(?!no$)/.test(line));
  if (lines.includes('Type=oneshot') && restarts) return [`${unit}: 219 refuses Restart= of a oneshot`];
  const section = (line: string) => line.startsWith('[');
  const unitSection = lines.slice(
    0,
    lines.findIndex((line) => section(line) && line !== '[Unit]'),
  );
  return unitSection.some((line) => line.startsWith('StartLimit'))
    ? [`${unit}: 219 has StartLimitInterval= and StartLimitBurst= in [Service]`]
    : [];
}
