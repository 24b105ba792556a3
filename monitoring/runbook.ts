import type { DocumentedCheck } from '../agent/checks/documented.ts';

/** Returns the texts of `status --explain` for one check. @throws if there is no check with this id */
export function documented(checks: readonly DocumentedCheck[], id: string): string {
  const check = checks.find((each) => each.id === id);
  if (check === undefined) throw new Error(`no check is called ${id}`);
  return textOf(check);
}

/**
 * Returns a template of Prometheus that selects the texts of the check named by a label.
 * @param label the expression with the id, such as `$labels.check`
 */
export function runbookOfCheck(checks: readonly DocumentedCheck[], label: string): string {
  const branches = checks.map((check, index) => {
    const keyword = index === 0 ? 'if' : 'else if';
    return `{{ ${keyword} eq ${label} "${check.id}" }}${textOf(check)}`;
  });
  return `${branches.join('\n')}\n{{ else }}Run \`immutafs-agent status --explain {{ ${label} }}\` in the guest.{{ end }}`;
}

function textOf({ id, title, means, why, fix }: DocumentedCheck): string {
  const text = `${id}: ${title}. What it checks: ${means} Why it matters: ${why} How to fix it: ${fix}`;
  if (text.includes('{{')) throw new Error(`${id}: the documentation contains {{, which begins a template`);
  return text;
}
