/**
 * node docs/ansible-variables.ts: generates the table of variables in ansible/README.md from the argument specifications of
 * the roles.
 */
import fs from 'node:fs';
import { parse } from 'yaml';

const readme = 'ansible/README.md';

interface Option {
  description: string | string[];
  default?: unknown;
  required?: boolean;
}

/** The variables that the playbooks read themselves. */
const ofPlaybooks = [
  '| `immutafs_hosts` | `immutafs_guests` | Group or pattern of the guests that the playbooks process. |',
  '| `immutafs_serial` | `1` | Number of guests that are sealed, opened, updated or brought to another image at a time. A list such as `[1, 5]` has the size of each batch. |',
];

/** Returns the README with the table in place of the one under "Variables". */
export function withVariables(text: string): string {
  const options = { ...optionsOf('host'), ...optionsOf('immutafs') };
  const rows = Object.entries(options).map(
    ([name, option]) => `| \`${name}\` | ${defaultOf(option)} | ${descriptionOf(option)} |`,
  );
  const table = ['| variable | default | meaning |', '| --- | --- | --- |', ...ofPlaybooks, ...rows];
  return text.replace(/^\| variable \|.*\n(\|.*\n)+/m, () => `${table.join('\n')}\n`);
}

/** Returns the variables of a role: for `host`, those that an inventory must set; for `immutafs`, those with a default. */
function optionsOf(role: 'host' | 'immutafs'): Record<string, Option> {
  const text = fs.readFileSync(`ansible/roles/${role}/meta/argument_specs.yml`, 'utf8');
  const specs = parse(text, { merge: true }) as {
    argument_specs: { main: { options: Record<string, Option> } };
  };
  return specs.argument_specs.main.options;
}

/** Returns a default as an inventory has it; blank if there is none, which the description explains. */
function defaultOf({ default: value, required }: Option): string {
  if (required === true) return 'required';
  if (value === undefined || value === '') return '';
  return `\`${inYaml(value)}\``;
}

function inYaml(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inYaml).join(', ')}]`;
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Replaces the markup of Ansible, such as V(text), by Markdown. */
function descriptionOf({ description }: Option): string {
  return [description]
    .flat()
    .join(' ')
    .replaceAll(/\b[VCO]\(([^()]*)\)/g, '`$1`');
}

if (import.meta.main) fs.writeFileSync(readme, withVariables(fs.readFileSync(readme, 'utf8')));
