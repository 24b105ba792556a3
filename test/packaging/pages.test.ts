import fs from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checks } from '../../agent/checks/index.ts';
import { projectFiles } from '../lint/files.ts';

/** The messages of the guide. */
const test = suite('the pages for administrators');

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
