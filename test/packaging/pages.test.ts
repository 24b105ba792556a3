import fs from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checks } from '../../agent/checks/index.ts';
import { blocksOf, commandsIn, parseBlocks } from '../harness/pages/blocks.ts';
import { executed, notExecuted, pages, problemsOf } from '../harness/pages/executed.ts';
import { projectFiles } from '../lint/files.ts';

/** The commands of the README and of the page for the host, and the messages of the guide. */
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

test('a block without a language, and a command that no test runs, are reported', () => {
  const page =
    '# Title\n```\nx\n```\n## New\n\n- in a list\n\n  ```sh\n  # in the guest\n  new --command  # why\n  ```\n';
  assert.equal(problemsOf('docs/host.md', parseBlocks(page)), [
    'docs/host.md:2: the block has no language: sh, text, …',
    'docs/host.md:9: no test runs: new --command',
  ]);
});

/** What may print a message: the agent, the boot scripts, the units and the package. */
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
  assert.equal(missingParts('var-usage: the layer … is overfull', texts).length, 2);
});

test.run();
