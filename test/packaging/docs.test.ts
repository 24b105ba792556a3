import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { documentedChecks } from '../../agent/checks/documented.ts';
import { forwardMessages } from '../../agent/forward/status/catalog.ts';
import { driftMessage, programMessage, verdictMessage } from '../../agent/report/log.ts';
import { sessionMessages } from '../../agent/report/session-log.ts';
import { explain } from '../../agent/report/explain.ts';
import { commandLine } from '../../agent/cli.ts';
import { errorMessage } from '../../agent/lib/errors.ts';
import { inRoot } from '../../packaging/build/paths.ts';
import { documentedKeys } from '../../packaging/docs/key-texts.ts';
import { examples } from '../../packaging/docs/examples.ts';
import { buildDocs, documents } from '../../packaging/docs/docs.ts';

const docs = suite('manuals, catalog, completion');
const others = [...Object.values(forwardMessages), ...Object.values(sessionMessages)];
const messages = [...documentedChecks, verdictMessage, driftMessage, programMessage, ...others];
let folder = '';

docs.before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'immutafs-docs-'));
  buildDocs(folder);
});
docs.after(() => fs.rmSync(folder, { recursive: true }));

const pages = Object.keys(documents()).filter((file) => file.startsWith('man/'));

docs('each command has a manual page, which the package contains and the main page names', () => {
  const main = rendered('man/immutafs-agent.8');
  const names = commandLine().commands.map((command) => command.name());
  assert.equal(pages.sort(), ['man/immutafs-agent.8', 'man/immutafs.conf.5', ...names.map(pageOf)].sort());
  for (const name of names) assert.ok(main.includes(`immutafs-agent-${name}(8)`), name);
  assert.match(readFile('packaging/rpm.spec'), /^put 0644 \/usr\/share\/man\/man8 dist\/man\/\*\.8$/m);
});

docs('the page of a command has each of its options with its description, and no other', () => {
  for (const command of commandLine().commands) {
    const page = rendered(pageOf(command.name()));
    const [, synopsis = '', options = ''] =
      /SYNOPSIS (.*?) DESCRIPTION .*?(?:OPTIONS (.*?) )?EXIT STATUS/.exec(page) ?? [];
    const shown = command.options.filter(({ hidden }) => !hidden);
    assert.equal(
      [...synopsis.matchAll(/\[(--[a-z0-9-]+)/g)].map(([, long]) => long),
      shown.map(({ long }) => long),
      command.name(),
    );
    for (const { long, description } of shown) {
      const text = flat(description).replaceAll('`', '').slice(1);
      assert.ok(options.includes(`${long} `) && options.includes(text), `${command.name()} ${long}`);
    }
  }
});

docs('each command has examples, which the program accepts', () => {
  assert.equal(
    Object.keys(examples).sort(),
    commandLine()
      .commands.map((command) => command.name())
      .sort(),
  );
  for (const [name, list] of Object.entries(examples)) {
    const page = rendered(pageOf(name));
    assert.ok(list.length > 0, name);
    for (const { text, command } of list) {
      assert.ok(page.includes(flat(text)) && page.includes(`# ${command}`), `${name}: ${command}`);
      assert.is(refusal(command), '', command);
      assert.match(command, new RegExp(`immutafs-agent ${name}( |$)`));
    }
  }
});

docs('a command line that the program does not accept is found', () => {
  for (const [command, expected] of [
    ['immutafs-agent status --jason', /unknown option '--jason'/],
    ['immutafs-agent status --json --nagios', /cannot be used with/],
    ['immutafs-agent prepare --only boots', /argument 'boots' is invalid/],
    ['immutafs-agent check now', /too many arguments/],
    ['immutafs-agent stat', /no command stat/],
  ] as const) {
    assert.match(refusal(command), expected);
  }
});

for (const page of pages) {
  docs(`${page}: mandoc and groff have no warning`, () => {
    const file = path.join(folder, page);
    const mandoc = spawnSync('mandoc', ['-Tlint', '-Wwarning', file], { encoding: 'utf8' });
    assert.is(mandoc.stdout + mandoc.stderr, '');
    const env = { ...process.env, LC_ALL: 'C.UTF-8', MANWIDTH: '80' };
    const man = spawnSync('man', ['--warnings', '-l', file], { encoding: 'utf8', env });
    assert.is(man.stderr, '');
    assert.is(man.status, 0);
  });
}

docs('the manual and the catalog contain the texts of --explain', () => {
  const manual = rendered('man/immutafs-agent.8');
  const catalog = flat(documents()['immutafs.catalog'] ?? '');
  for (const { id, messageId, title, means, why, fix, page = '' } of documentedChecks) {
    assert.match(flat(explain(id)), flat(fix));
    for (const text of [title, means, why, fix, page]) {
      assert.ok(catalog.includes(flat(text).slice(1)), `${id} in the catalog: ${text}`);
      assert.ok(manual.includes(flat(text).replaceAll('`', '').slice(1)), `${id} in the manual: ${text}`);
    }
    assert.ok(catalog.includes(`-- ${messageId} Subject: Check ${id}`));
  }
});

docs('immutafs.conf(5) has every key with its default', () => {
  const manual = rendered('man/immutafs.conf.5');
  for (const [name, { meaning, initial }] of documentedKeys) {
    assert.ok(manual.includes(`${name} ${flat(meaning)}`), name);
    assert.ok(manual.includes(`The default is ${initial === '' ? 'empty' : initial}.`), name);
  }
});

docs('journald accepts every entry of the catalog', () => {
  const system = path.join(folder, 'root');
  for (const under of ['usr/lib', 'var/lib']) {
    fs.mkdirSync(path.join(system, under, 'systemd/catalog'), { recursive: true });
  }
  const installed = path.join(system, 'usr/lib/systemd/catalog/immutafs.catalog');
  fs.copyFileSync(path.join(folder, 'immutafs.catalog'), installed);
  const run = (...args: string[]) =>
    spawnSync('journalctl', [`--root=${system}`, ...args], { encoding: 'utf8' });
  const update = run('--update-catalog');
  assert.is(update.stderr, '');
  assert.is(update.status, 0);
  const ids = run('--list-catalog')
    .stdout.trim()
    .split('\n')
    .map((line) => line.slice(0, 32));
  const expected = messages.map(({ messageId }) => messageId);
  assert.equal(ids, expected.sort());
});

docs('message IDs have 128 bits and are unique', () => {
  const ids = messages.map(({ messageId }) => messageId);
  assert.is(new Set(ids).size, messages.length);
  for (const id of ids) assert.match(id, /^[0-9a-f]{32}$/);
});

docs('bash completes commands, options and their values', () => {
  assert.equal(complete('immutafs-agent', 'st'), ['status']);
  assert.ok(complete('immutafs-agent', 'status', '--').includes('--json'));
  assert.equal(complete('immutafs-agent', 'status', '--color', 'al'), ['always']);
  assert.equal(complete('immutafs-agent', 'status', '--color', '=', 'ne'), ['never']);
  assert.equal(complete('immutafs-agent', 'status', '--color', '='), ['auto', 'always', 'never']);
  assert.equal(
    complete('immutafs-agent', 'status', '--explain', ''),
    documentedChecks.map(({ id }) => id),
  );
  assert.equal(complete('immutafs-agent', 'help', 'ver'), ['version']);
  assert.equal(complete('immutafs-agent', 'version', 'x'), []);
  assert.not.ok(complete('immutafs-agent', '').includes('probe'));
});

docs('bash completes further values, several steps in a word, and paths', () => {
  assert.equal(complete('immutafs-agent', 'prepare', '--only', 'boot', 'tm'), ['tmp']);
  assert.equal(complete('immutafs-agent', 'prepare', '--only', 'boot,tm'), ['boot,tmp']);
  assert.equal(complete('immutafs-agent', 'prepare', '--only', 'boot', '--app'), ['--apply']);
  assert.equal(complete('immutafs-agent', 'status', '--color', 'always', 'al'), []);
  assert.equal(complete('immutafs-agent', 'prepare', '--tmp-mode', '17'), ['1777', '1700']);
  assert.equal(complete('immutafs-agent', 'prepare', '--image-name', ''), []);
  assert.equal(complete('immutafs-agent', 'changes', `${folder}/man/immutafs.c`), [
    `${folder}/man/immutafs.conf.5`,
  ]);
  assert.equal(complete('immutafs-agent', 'changes', '--export', `${folder}/compl`), [
    `${folder}/completion`,
  ]);
  assert.equal(complete('immutafs-agent', 'prepare', '--move-state', '/a', `${folder}/m`), [`${folder}/man`]);
  assert.equal(complete('immutafs-agent', 'prepare', '--move-state', `${folder}/man/immutafs.c`), []);
});

/** What each shell must complete: the last word is being typed. */
const cases = (): [words: string[], expected: string[]][] => [
  [['st'], ['status']],
  [['status', '--nag'], ['--nagios']],
  [['status', '--color', 'al'], ['always']],
  [['status', '--explain', 'var-us'], ['var-usage']],
  [['prepare', '--only', 'boo'], ['boot']],
  [['prepare', '--only', 'boot', 'tm'], ['tmp']],
  [['prepare', '--only', 'boot', '--app'], ['--apply']],
  [['prepare', '--move-state', '/a', `${folder}/ma`], [`${folder}/man`]],
  [['changes', `${folder}/man/immutafs.c`], [`${folder}/man/immutafs.conf.5`]],
  [['changes', '--export', `${folder}/man/immutafs.c`], [`${folder}/man/immutafs.conf.5`]],
  [['help', 'ver'], ['version']],
  [['version', 'x'], []],
];

docs('zsh completes commands, options, values and paths', () => {
  for (const [words, expected] of cases()) {
    assert.equal(completeInZsh(words).map(endOf(expected)), expected, words.join(' '));
  }
});

docs('fish completes commands, options, values and paths', () => {
  for (const [words, expected] of cases()) {
    const file = path.join(folder, 'completion/immutafs-agent.fish');
    const line = ['immutafs-agent', ...words].join(' ');
    const program = 'source $argv[1]; complete --do-complete $argv[2]';
    const env = { ...process.env, HOME: folder, XDG_CONFIG_HOME: folder };
    const output = execFileSync('fish', ['--no-config', '-c', program, file, line], {
      encoding: 'utf8',
      env,
    });
    const found = output
      .split('\n')
      .filter((each) => each !== '')
      .map((each) => each.split('\t', 1)[0]?.replace(/\/$/, '') ?? '');
    assert.equal(found, expected, words.join(' '));
  }
});

docs('zsh and fish have no syntax error to report', () => {
  execFileSync('zsh', ['-n', path.join(folder, 'completion/_immutafs-agent')]);
  execFileSync('fish', ['-n', path.join(folder, 'completion/immutafs-agent.fish')]);
});

docs('bash and shellcheck report nothing for the completion', () => {
  const file = path.join(folder, 'completion/immutafs-agent');
  execFileSync('bash', ['-n', file]);
  execFileSync('shellcheck', ['-s', 'bash', file]);
});

/** Returns the completions that readline offers while the last of the words is being typed. */
function complete(...words: string[]): string[] {
  const script =
    '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _immutafs_agent; printf "%s\\n" "${COMPREPLY[@]}"';
  const file = path.join(folder, 'completion/immutafs-agent');
  const output = execFileSync('bash', ['-c', script, 'bash', file, ...words], { encoding: 'utf8' });
  return output.split('\n').filter((line) => line !== '');
}

/**
 * Returns the completions that zsh offers. In an interactive zsh on a terminal, compadd is replaced by a function that
 * prints what it adds.
 */
function completeInZsh(words: readonly string[]): string[] {
  const setUp = path.join(folder, 'setup.zsh');
  fs.writeFileSync(
    setUp,
    `PROMPT=; fpath=(${folder}/completion $fpath)
autoload -Uz compinit; compinit -u -D
bindkey '^I' complete-word
zstyle ':completion:*' insert-tab false
zstyle ':completion:*' list-grouped false
zstyle ':completion:*' accept-exact false
begin() { print -r -- '<begin>' }
finish() { print -r -- '<end>'; exit }
compprefuncs=(begin)
comppostfuncs=(finish)
compadd() {
  if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]]; then builtin compadd "$@"; return; fi
  local -a found; builtin compadd -A found "$@"
  local each; for each in $found; do print -r -- "<found>$IPREFIX$PREFIX<is>$each"; done
  builtin compadd "$@"
}
print -r -- ready
`,
  );
  const program = `zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "source $1"
zpty -r z line '*ready*'
zpty -w -n z "immutafs-agent $2"$'\\t'
zpty -r -m z line '*<end>*'
print -r -- "$line"`;
  const output = execFileSync('zsh', ['-f', '-c', program, 'zsh', setUp, words.join(' ')], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  return [...new Set([...output.matchAll(/<is>([^\r\n]*)/g)].map(([, found = '']) => found))];
}

/** zsh adds paths without the directory. */
const endOf =
  (expected: readonly string[]) =>
  (found: string): string =>
    expected.find((each) => each.startsWith('/') && path.basename(each) === found) ?? found;

/** Returns why the program does not accept a command line, or the empty string. No command is run. */
function refusal(line: string): string {
  const [, text = ''] = /(?:^|^ssh \S+ )immutafs-agent ([^|>]*)/.exec(line) ?? [];
  const words = [...text.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
  const [name = '', ...rest] = words;
  const command = commandLine().commands.find((each) => each.name() === name);
  if (command === undefined) return `no command ${name}`;
  try {
    command.action(() => undefined).parse(rest, { from: 'user' });
    return '';
  } catch (error) {
    return errorMessage(error);
  }
}

const pageOf = (command: string) => `man/immutafs-agent-${command}.8`;
const readFile = (file: string) => fs.readFileSync(inRoot(file), 'utf8');

/** Returns a page as rendered for a reader, without line breaks. */
function rendered(page: string): string {
  const file = path.join(folder, page);
  const text = execFileSync('mandoc', ['-Tutf8', '-O', 'width=1000', file], { encoding: 'utf8' });
  // oxlint-disable-next-line no-control-regex -- bold and underlined text is rendered by overstriking
  return flat(text.replace(/.\x08/g, ''));
}

function flat(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

docs.run();
