import fs from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checks } from '../../agent/checks/index.ts';
import { errorMessage } from '../../agent/lib/errors.ts';
import { blocksOf, commandsIn, parseBlocks } from '../harness/pages/blocks.ts';
import { executed, notExecuted, pages, problemsOf } from '../harness/pages/executed.ts';
import { PageRun, matchesOutput } from '../harness/pages/run.ts';
import { pageSteps } from '../harness/pages/steps.ts';
import { projectFiles } from '../lint/files.ts';
import { accepted } from '../vm/libvirt/cloud-image.ts';

/** The commands and messages of the README, the guide and the page for the host. */
const test = suite('the pages for administrators');

for (const page of pages) {
  test(`${page}: a test runs each command, or the table has the reason`, () => {
    assert.equal(problemsOf(page), []);
    const blocks = blocksOf(page).filter(({ language }) => language === 'sh');
    assert.ok(blocks.length > 0);
    for (const [heading, file] of Object.entries(executed[page] ?? {})) {
      assert.ok(
        blocks.some((block) => block.heading === heading),
        heading,
      );
      const text = fs.readFileSync(file, 'utf8');
      assert.ok(text.includes(page) && text.includes(`'${heading}'`), `${file} runs ${page}, ${heading}`);
    }
  });
}

test('each command that no test runs is on a page', () => {
  const blocks = pages.flatMap((page) => blocksOf(page));
  const commands = blocks.flatMap(({ text }) => commandsIn(text).map((command) => command.text));
  for (const { command } of notExecuted) assert.ok(commands.includes(command), command);
});

test('a block without a language, and a command that no test runs in any section, are reported', () => {
  const page =
    '# Title\n```\nx\n```\n## New\n\n- in a list\n\n  ```sh\n  # in the guest\n  new --command  # why\n  immutafs-agent changes\n  ```\n';
  assert.equal(problemsOf('docs/host.md', parseBlocks(page)), [
    'docs/host.md:2: the block has no language: sh, text, …',
    'docs/host.md:9: no test runs: new --command',
  ]);
});

test('docs/images.md names what its tests add to its commands', () => {
  assert.ok(accepted.length > 0 && accepted.every((path) => path.startsWith('/var/')), accepted.join());
});

test('output is compared with what the page shows, where … stands for anything', () => {
  assert.ok(
    matchesOutput('before\n  SEALED: yes\nother\n  vda  read-only\n', '  SEALED: yes\n…\n  vda  …\n'),
  );
  assert.not.ok(matchesOutput('  FAILED: root-readonly\n', '  SEALED: yes\n'));
});

/** The pages below docs/ that are for developers only, so that the package does not contain them. */
const forDevelopers = ['release'];

test('README.md names each page, and the package contains each page for administrators', () => {
  const names = fs.readdirSync('docs').flatMap((file) => /^(.*)\.md$/.exec(file)?.[1] ?? []);
  const index = fs.readFileSync('README.md', 'utf8');
  assert.equal(
    names.filter((name) => !index.includes(`\`docs/${name}.md\``)),
    [],
  );
  const [, list = ''] = /^for page in ([^;]*);/m.exec(fs.readFileSync('packaging/rpm.spec', 'utf8')) ?? [];
  const packaged = list.split(/[\s\\]+/).filter((name) => name !== '');
  assert.equal(packaged.toSorted(), names.filter((name) => !forDevelopers.includes(name)).toSorted());
});

/** Returns the sections of other pages that a page names, and that do not exist. */
function missingSections(page: string): string[] {
  const named = [...page.matchAll(/`(docs\/[\w-]+\.md)`,\s+section\s+"([^"]+)"/g)];
  return named.flatMap(([, file = '', quoted = '']) => {
    const heading = quoted.replaceAll(/\s+/g, ' ');
    const headings = fs.readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm);
    return [...headings].some(([, each]) => each === heading) ? [] : [`${file}: ${heading}`];
  });
}

test('each section of another page that a page names exists', () => {
  const pages = fs.readdirSync('docs').filter((file) => file.endsWith('.md'));
  const texts = pages.map((file) => fs.readFileSync(`docs/${file}`, 'utf8'));
  assert.equal(texts.flatMap(missingSections), []);
  assert.equal(missingSections('`docs/guide.md`, section "Ten\nguests"; `docs/guide.md`, section "None"'), [
    'docs/guide.md: None',
  ]);
});

/** Returns the numbers of the sources that a page cites, and those of its section Sources. */
function sourcesOf(page: string): { cited: number[]; listed: number[] } {
  const [text = '', list = ''] = page.split('\n## Sources\n');
  const numbers = (found: Iterable<RegExpMatchArray>) => [...found].map(([, number]) => Number(number));
  const cited = numbers(text.matchAll(/ \[(\d+)\](?!\()/g)).toSorted((one, other) => one - other);
  return { cited: [...new Set(cited)], listed: numbers(list.matchAll(/^(\d+)\. /gm)) };
}

test('docs/choose.md: each system in the table has a source, and each source is cited', () => {
  const page = fs.readFileSync('docs/choose.md', 'utf8');
  const { cited, listed } = sourcesOf(page);
  assert.ok(listed.length >= 15);
  assert.equal(cited, listed);
  const rows = [...page.matchAll(/^\| \*\*.*$/gm)].map(([row]) => row.split(' | ')[0] ?? '');
  assert.ok(rows.length >= 10);
  const own = rows.filter((row) => !/ \[\d+\]/.test(row));
  assert.ok(own.length === 1 && own[0]?.startsWith('| **this package**'), own.join());
  assert.equal(sourcesOf('a [1], b [3]\n## Sources\n\n1. x\n2. y\n'), { cited: [1, 3], listed: [1, 2] });
});

/** The beginning of an error about the line of the guide that begins with a text, or about a line near it. */
function atLine(text: string, offset = 0): string {
  const index = fs
    .readFileSync('docs/guide.md', 'utf8')
    .split('\n')
    .findIndex((line) => line.startsWith(text));
  assert.is.not(index, -1, text);
  return `docs/guide.md:${index + 1 + offset}: `;
}

const fine = 'IMMUTAFS OK - SEALED: the host enforces read-only | x';
const guideTest = 'test/vm/long/guide.test.ts';

const errorOf = (work: Promise<void>): Promise<string | null> =>
  work.then(
    () => null,
    (error: unknown) => errorMessage(error),
  );

for (const [what, file, exit, output, error] of [
  ['a section whose commands do what the page shows', guideTest, 0, fine, null],
  [
    'a command that ends with another exit code',
    guideTest,
    1,
    fine,
    atLine('immutafs-agent status --nagios'),
  ],
  ['other output than that of the page', guideTest, 0, 'IMMUTAFS WARNING', atLine('IMMUTAFS OK', -1)],
  ['a section of another test', 'test/other.test.ts', 0, fine, 'the table of pages'],
] as const) {
  test(`the commands of a page are run: ${what}`, async () => {
    const commands: string[] = [];
    const guest = (command: string) => {
      commands.push(command);
      return Promise.resolve({ exit, output });
    };
    const pages = new PageRun(file, { 'in the guest': guest }, { json: 'JSON' });
    const section = pages.section('docs/guide.md', 'Monitoring', { blocks: 1 });
    const failure = await errorOf(section);
    if (error !== null) {
      assert.match(failure ?? '', error);
      return;
    }
    assert.is(failure, null);
    assert.equal(
      commands,
      ['--nagios', '--prometheus', '--JSON'].map((option) => `immutafs-agent status ${option}`),
    );
    const incomplete = await errorOf(Promise.resolve().then(() => pages.assertComplete()));
    assert.match(incomplete ?? '', /the sections that were run/);
  });
}

test('a command is repeated until it prints what the page says, and not longer than the limit', async () => {
  const states = ['running', 'running', 'shut off (shutdown)'];
  const host = () => Promise.resolve({ exit: 0, output: states.shift() ?? '' });
  const section = (patience: number) =>
    new PageRun(guideTest, { host }, {}, patience).section('docs/host.md', 'With virsh and virt-xml', {
      machine: 'host',
    });
  assert.is(await errorOf(section(30)), null);
  assert.equal(states, []);
  assert.match(
    (await errorOf(section(0))) ?? '',
    /docs\/host\.md:\d+: virsh domstate .*: shut off \(shutdown\)/,
  );
});

test('the commands of a page are steps of a boot, with the exit codes of the page', async () => {
  const [page, heading] = ['docs/change.md', 'In a sealed guest, until the reboot'] as const;
  const { steps, assertExits } = pageSteps('test/vm/smoke/maintenance.test.ts', page, heading);
  assert.not(Object.values(steps).some((text) => text.startsWith('ip address')));
  const isRefused = (name: string) => /chpasswd|useradd|localtime/.test(steps[name] ?? '');
  assertExits((name) => ({ exit: isRefused(name) ? 1 : 0, stderr: '' }));
  const failure = (work: () => void) => errorOf(Promise.resolve().then(work));
  const refused = await failure(() => assertExits(() => ({ exit: 0, stderr: 'said' })));
  assert.match(refused ?? '', /change\.md:\d+: .*chpasswd: said/);
  const failed = await failure(() => assertExits(() => ({ exit: 1, stderr: '' })));
  assert.match(failed ?? '', /change\.md:\d+: hostname /);
  assert.match(
    (await failure(() => pageSteps('test/other.test.ts', page, heading))) ?? '',
    /the table of pages/,
  );
});

/** What may print a message: the agent, the boot, the units and the package. */
const sources = projectFiles().filter((file) => /^(agent|boot|dracut|units|packaging)\//.test(file));

/** Returns the messages of the guide's table of failures, except for those of other programs. */
function quotedMessages(page: string): string[] {
  const [, section = ''] = /\n## When something fails\n([^]*?)\n## /.exec(page) ?? [];
  const cells = [...section.matchAll(/^\| (`.*?) \| /gm)].map(([, cell = '']) => cell);
  const own = cells.filter((cell) => !cell.endsWith('(systemd)'));
  return own.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].slice(0, 1).map(([, text = '']) => text));
}

/** Returns the parts of a message that no file of the code has together. `…`, the id of a check and a verdict separate parts. */
function missingParts(message: string, texts: readonly string[]): string[] {
  const id = checks.map((check) => check.id).find((each) => message.startsWith(`${each}: `));
  const rest = id === undefined ? message : message.slice(id.length + 2);
  const parts = rest.split(/…|(?<=^[A-Z]+): /).map((part) => part.replace(/^[^\w/]+|[\s:,;]+$/g, ''));
  const wanted = [...(id === undefined ? [] : [`id: '${id}'`]), ...parts.filter((part) => part.length > 2)];
  const best = texts.map((text) => wanted.filter((part) => !text.includes(part)));
  return best.toSorted((one, other) => one.length - other.length)[0] ?? wanted;
}

test('each message of the guide is a message of the code', () => {
  const texts = sources.map((file) => fs.readFileSync(file, 'utf8'));
  const messages = quotedMessages(fs.readFileSync('docs/guide.md', 'utf8'));
  assert.ok(messages.length >= 14, `${messages.length} messages`);
  for (const message of messages) assert.equal(missingParts(message, texts), [], message);
  assert.equal(missingParts('var-usage: the bucket … is overfull', texts).length, 2);
});

test.run();
