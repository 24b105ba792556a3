import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { keys, pathOf, strictItems } from '../../agent/config/keys.ts';
import { documentedKeys, readTexts, withTexts } from '../../packaging/docs/key-texts.ts';

const texts = suite('the texts of the configuration keys');
texts('each key has both texts, and its comment names the words that are valid', () => {
  assert.equal(
    documentedKeys.map(([name]) => name),
    Object.keys(keys),
  );
  for (const [name, { comment, meaning, words = [] }] of documentedKeys) {
    for (const text of [comment, meaning]) assert.ok(text.length > 10, name);
    for (const word of words) assert.match(comment, new RegExp(`\\b${word}\\b`), name);
  }
});

texts('MOUNT_OPTIONS: what strict stands for', () => {
  const [, key] = documentedKeys.find(([name]) => name === 'MOUNT_OPTIONS') ?? [];
  const paths = strictItems.map(pathOf);
  const list = `on ${paths.slice(0, -1).join(', ')} and ${paths.at(-1) ?? ''}`;
  for (const text of [key?.comment, key?.meaning]) assert.ok(text?.includes(list), text);
});

texts('the first paragraph is the comment, the others are the text of the manual page', () => {
  assert.equal(readTexts('# Keys\n\nOf all.\n\n## ONE\n\na\nb\n\nc\n\nd `e`\n\n## TWO\n\nf\n'), [
    ['ONE', { comment: 'a b', meaning: 'c d `e`' }],
    ['TWO', { comment: 'f', meaning: 'f' }],
  ]);
});

for (const [name, page, message] of [
  ['a section without text', '## ONE\n\n## TWO\n\na\n', /agent\/config\/keys\.md: ONE: there is no text/],
  ['a list', '## ONE\n\n- a\n', /ONE: only paragraphs are permitted: - a/],
] as const) {
  texts(`refused: ${name}`, () => {
    assert.throws(() => readTexts(page), message);
  });
}

const all = documentedKeys.map(([name, { comment, meaning }]) => [name, { comment, meaning }] as const);
const [first, second, ...others] = all;
assert.ok(first && second);
for (const [name, list] of [
  ['a key without a section', [first, ...others]],
  ['a section without a key', [...all, ['NONE', first[1]]]],
  ['a section twice', [first, first, second, ...others]],
  ['another order', [second, first, ...others]],
] as const) {
  texts(`refused: ${name}`, () => {
    assert.throws(() => withTexts(list), /agent\/config\/keys\.md: the sections must be MODE /);
  });
}
texts.run();
