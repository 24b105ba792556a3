import type { Line } from './layout.ts';
import type { Report } from './report.ts';

const shown = 20;

/** Returns the lines that describe the programs that did not come from the sealed disk; empty if there are none. */
export function programLines({ programs }: Report): Line[] {
  if (programs === null || programs.count === 0) return [];
  const listed = programs.list.slice(0, shown);
  const more = programs.count - listed.length;
  return [
    { label: '', text: '' },
    { label: '  ', text: 'Programs that did not come from the sealed disk:' },
    ...listed.map(({ pid, user, unit, command, startedAt, path, reason, otherFiles }): Line => {
      const facts = [
        `${path}: ${reason}`,
        ...(otherFiles === 0 ? [] : [`and ${otherFiles} more files`]),
        ...(user === '' ? [] : [`user ${user}`]),
        ...(unit === '' ? [] : [unit]),
        ...(startedAt === null ? [] : [`started ${startedAt.slice(0, 19).replace('T', ' ')} UTC`]),
        ...(command === '' ? [] : [command]),
      ];
      return { label: `    ${String(pid)}`, gap: '  ', text: facts.join('; ') };
    }),
    ...(more > 0 ? [{ label: '    ', text: `and ${more} more (--json lists up to 100)` }] : []),
  ];
}
