import fs from 'node:fs';
import path from 'node:path';
import type { Option } from 'commander';
import { commandLine } from '../../agent/cli.ts';
import { projectFiles } from './files.ts';

/**
 * Returns a line for each command of the agent in a document, a playbook, an alert rule or a message of the agent that
 * names a subcommand or an option that does not exist, or options that exclude each other; empty if there is none.
 */
export function documentCommands(): string {
  const files = projectFiles().filter(
    (file) => /\.(md|yml)$|^agent\/.*\.(ts|json)$/.test(file) && !/\/fixtures\/|^CHANGELOG/.test(file),
  );
  return files.flatMap((file) => commandProblems(file, read(file))).join('\n');
}

/** Returns a text with its lines. Markdown in agent/ has only paragraphs, in which a command may continue on the next line. */
function read(file: string): string {
  const text = fs.readFileSync(file, 'utf8');
  return /^agent\/.*\.md$/.test(file) ? text.replaceAll(/(?<=\S)\n(?=\S)/g, ' ') : text;
}

/** The hidden and built-in subcommands that messages name. */
const others = ['help', 'probe', 'try-writes', 'record-rehearsal'];

function commandProblems(file: string, text: string): string[] {
  const { commands } = commandLine();
  const known = new Map(commands.map((command) => [command.name(), command.options]));
  // A command ends at the end of the line or of the code, at a comment, and where another command begins.
  const named = text.matchAll(
    /(?<![\w/.-])(?:`?immutafs-agent |`(?!immutafs-agent ))([a-z][a-z-]*)((?: [^\s`'"#|&;:,()\\$]+)*)/g,
  );
  return [...named].flatMap(([whole, name = '', rest = '']) => {
    const options = known.get(name);
    // After `--` follow the words of another command.
    const words = rest
      .replace(/ -- .*/, '')
      .trim()
      .split(' ');
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

/** Folders of this project in which the paths in documents are checked. */
const folders = 'agent|ansible|boot|docs|dracut|monitoring|packaging|test|units';

/** @returns a line for each path in backticks in a Markdown file that does not exist; empty if all paths exist */
export function documentPaths(): string {
  const documents = projectFiles().filter((file) => file.endsWith('.md') && !file.includes('/fixtures/'));
  return documents.flatMap((file) => missing(file, fs.readFileSync(file, 'utf8'))).join('\n');
}

function missing(file: string, text: string): string[] {
  // The walks through the source in CONTRIBUTING.md name files in agent/ without this folder.
  const named = [
    ...text.matchAll(new RegExp('`((?:' + folders + ')/[\\w./-]+|[\\w-]+/[\\w./-]+\\.ts)`', 'g')),
  ];
  return named
    .map(([, name = '']) => name)
    .filter((name) => !name.includes('/a/b.'))
    .filter((name) =>
      ['', path.dirname(file), 'agent'].every((base) => !fs.existsSync(path.join(base, name))),
    )
    .map((name) => `${file}: ${name} does not exist`);
}

/** Texts that belong to a developer's machine and not to the project. */
const forbidden: { pattern: RegExp; why: string }[] = [
  { pattern: /(?<![\w./$}{-])\/(work|home\/\w+\/src)\/[\w.]/, why: 'a path of a developer machine' },
  { pattern: /^ *"resolved": "(?!https:\/\/registry\.npmjs\.org\/)/, why: 'not from the public registry' },
  { pattern: /\bhttps?:\/\/[\w.-]+\.(internal|corp|lan|intranet)\b/, why: 'a host that is not public' },
];

export function forbiddenWords(): string {
  const files = projectFiles().filter((file) => !file.startsWith('test/fixtures/mountinfo/'));
  return files.flatMap((file) => wordProblems(file, fs.readFileSync(file, 'latin1'))).join('\n');
}

function wordProblems(file: string, text: string): string[] {
  return text
    .split('\n')
    .flatMap((line, index) =>
      forbidden
        .filter(({ pattern }) => pattern.test(line))
        .map(({ why }) => `${file}:${index + 1}: ${why}: ${line.trim().slice(0, 160)}`),
    );
}

/** Checks that the agent, the lock file and the Ansible collection have the same version. */
export function versions(): string {
  const { version } = json('package.json');
  const [, collection] = /^version: (.*)$/m.exec(fs.readFileSync('ansible/galaxy.yml', 'utf8')) ?? [];
  return [
    { file: 'package-lock.json', found: json('package-lock.json').version },
    { file: 'ansible/galaxy.yml', found: collection },
  ]
    .filter(({ found }) => found !== version)
    .map(({ file, found }) => `${file} has version ${found}, package.json ${version}`)
    .join('\n');
}

function json(file: string): { version: string } {
  return JSON.parse(fs.readFileSync(file, 'utf8')) as { version: string };
}
