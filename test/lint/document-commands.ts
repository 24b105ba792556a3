import fs from 'node:fs';
import type { Option } from 'commander';
import { commandLine } from '../../agent/cli.ts';
import { projectFiles } from './files.ts';

/**
 * Returns a line for each command of the agent in a document, a playbook, an alert rule or a message of the agent that names
 * a subcommand or an option that does not exist, or options that exclude each other; empty if there is none.
 */
export function documentCommands(): string {
  const files = projectFiles().filter(
    (file) => /\.(md|yml)$|^agent\/.*\.(ts|json)$/.test(file) && !/\/fixtures\/|^CHANGELOG/.test(file),
  );
  return files.flatMap((file) => problems(file, fs.readFileSync(file, 'utf8'))).join('\n');
}

/** The hidden and built-in subcommands that messages name. */
const others = ['help', 'probe', 'try-writes', 'record-rehearsal'];

function problems(file: string, text: string): string[] {
  const { commands } = commandLine();
  const known = new Map(commands.map((command) => [command.name(), command.options]));
  // A command ends at the end of the line or of the code, at a comment, and where another command begins.
  const named = text.matchAll(
    /(?<![\w/.-])(?:`?immutafs-agent |`(?!immutafs-agent ))([a-z][a-z-]*)((?: [^\s`'"#|&;:,()\\$]+)*)/g,
  );
  return [...named].flatMap(([whole, name = '', rest = '']) => {
    const options = known.get(name);
    const words = rest.trim().split(' ');
    if (options === undefined) {
      // Without options, the words may be prose: "immutafs-agent is …". Other programs are in code as well.
      const isOwn = /^`?immutafs-agent /.test(whole) && words.some((word) => word.startsWith('--'));
      return isOwn && !others.includes(name) ? [`${file}: immutafs-agent has no command ${name}`] : [];
    }
    const optionOf = (word: string) => options.find(({ long }) => long === word.replace(/=.*/, ''));
    const given = words.map(optionOf).filter((option) => option !== undefined);
    return words.flatMap((word, index) => {
      if (!word.startsWith('--')) return [];
      const option = optionOf(word);
      if (option === undefined) return [`${file}: immutafs-agent ${name} has no option ${word}`];
      const other = given.find((each) => conflictsOf(option).includes(each.attributeName()));
      if (other !== undefined) return [`${file}: immutafs-agent ${name} ${word} excludes ${other.long}`];
      const value = (words[index + 1] ?? '').replace(/\.$/, '');
      const isWrong = option.argChoices?.includes(value) === false && /^[a-z]/.test(value);
      return isWrong ? [`${file}: immutafs-agent ${name} ${word} has no value ${value}`] : [];
    });
  });
}

/** Commander's types do not have the names that `Option.conflicts` stores. */
const conflictsOf = (option: Option): string[] =>
  (option as Option & { conflictsWith: string[] }).conflictsWith;
