import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  documentation,
  readDocumentation,
  readAllDocumentation,
} from '../../../agent/checks/documentation.ts';
import { documentedChecks, withDocumentation } from '../../../agent/checks/documented.ts';
import { checks } from '../../../agent/checks/index.ts';
import { inTemporaryDirectory, writeFiles } from '../../harness/temporary.ts';

const all = suite('the documentation of all checks');
all('each check has a file, in the order of the checks, with texts and an existing page', () => {
  assert.equal(
    documentedChecks.map(({ id }) => id),
    checks.map(({ id }) => id),
  );
  for (const { id, title, means, why, fix, page = 'prepare.md' } of documentedChecks) {
    for (const text of [title, means, why, fix]) assert.ok(text.length > 10, id);
    assert.ok(fs.existsSync(path.join('docs', page)), `${id}: ${page}`);
  }
});

all('a check without a file and a file without a check are errors', () => {
  const [first] = checks;
  assert.ok(first);
  const { [first.id]: own, ...others } = documentation;
  assert.ok(own);
  assert.equal(withDocumentation([first], { [first.id]: own }), [{ ...first, ...own }]);
  assert.throws(
    () => withDocumentation(checks, others),
    new RegExp(`agent/checks/${first.id}\\.md does not exist`),
  );
  assert.throws(
    () => withDocumentation(checks, { ...documentation, other: own }),
    /agent\/checks\/other\.md: no check has this id/,
  );
});
all.run();

const good = `# some-check: no swap is used

## What it checks

Reads /proc/swaps,
and nothing else.

With -o and --all.

## Why it matters

It is \`kept\`.

## How to fix it

Run swapoff.

## Read on

\`docs/prepare.md\`
`;
const parsed = {
  title: 'no swap is used',
  means: 'Reads /proc/swaps, and nothing else. With -o and --all.',
  why: 'It is `kept`.',
  fix: 'Run swapoff.',
};

const readOn = '\n## Read on\n\n`docs/prepare.md`\n';
const file = suite('the file of one check');
file('title, and paragraphs joined into one text each', () => {
  assert.equal(read(good), { ...parsed, page: 'prepare.md' });
  assert.equal(read(good.replace(readOn, '')), parsed);
});

const sections = 'the sections must be, in this order: What it checks, Why it matters, How to fix it';
const bad: [name: string, from: string, to: string, message: string][] = [
  ['another id', '# some-check:', '# swap:', 'the first line must be "# some-check: TITLE"'],
  ['no title', ': no swap is used', ':', 'the first line must be'],
  ['text below the title', 'used\n', 'used\nat all\n', 'the first line must be'],
  ['no first section', '## What it checks', '', 'the first line must be'],
  ['a section is missing', '## Why it matters', '', `${sections}, Read on; found: What it checks, How`],
  [
    'another heading',
    '## How to fix it',
    '## Fix',
    `${sections}, Read on; found: What it checks, Why it matters, Fix`,
  ],
  [
    'sections are swapped',
    good.slice(good.indexOf('\n## How')),
    `${readOn}\n## How to fix it\n\nRun\n`,
    sections,
  ],
  ['an empty section', 'Run swapoff.\n', '', 'How to fix it: there is no text'],
  ['a list', 'Run swapoff.', '- Run swapoff.', 'only paragraphs are permitted: - Run swapoff.'],
  ['a numbered list', 'and nothing', '1. and nothing', 'only paragraphs are permitted: 1. and'],
  ['code', 'Run swapoff.', '    swapoff -a', 'only paragraphs are permitted:     swapoff'],
  ['a heading in a section', 'Run swapoff.', '### Run', 'only paragraphs are permitted: ### Run'],
  [
    'a page outside docs/',
    '`docs/prepare.md`',
    'prepare.md',
    'Read on: expected one file of docs/ in backquotes',
  ],
];
for (const [name, from, to, message] of bad) {
  file(`refused: ${name}`, () => {
    assert.ok(good.includes(from));
    assert.throws(
      () => read(good.replace(from, to)),
      (error: unknown) =>
        error instanceof Error &&
        error.message.startsWith('some-check.md: ') &&
        error.message.includes(message),
    );
  });
}

file('every Markdown file of a directory is read', () => {
  inTemporaryDirectory((folder) => {
    writeFiles(folder, { 'some-check.md': good, 'check.ts': '' });
    assert.equal(readAllDocumentation(folder), { 'some-check': { ...parsed, page: 'prepare.md' } });
    writeFiles(folder, { 'other.md': good });
    assert.throws(() => readAllDocumentation(folder), /other\.md: the first line must be/);
  });
});
file.run();

function read(text: string) {
  return inTemporaryDirectory((folder) => {
    writeFiles(folder, { 'some-check.md': text });
    return readDocumentation(folder, 'some-check');
  });
}
