import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checks } from '../../../agent/checks/index.ts';
import { UsageError } from '../../../agent/lib/errors.ts';
import { explain } from '../../../agent/report/explain.ts';
import { type Line, layOut } from '../../../agent/report/layout.ts';

const text = 'one two three four five six seven eight nine ten eleven twelve';
const layout = suite('layout');
for (const [title, line, columns, expected] of [
  ['no terminal: one line', { label: '  a: ', text }, undefined, [`  a: ${text}`]],
  [
    'a hanging indent',
    { label: '  a: ', text },
    45,
    ['  a: one two three four five six seven eight', '     nine ten eleven twelve'],
  ],
  [
    'the gap counts for the indent',
    { label: '  a:', gap: '   ', text },
    45,
    ['  a:   one two three four five six seven', '       eight nine ten eleven twelve'],
  ],
  [
    'a label of more than half of the terminal: a small indent',
    { label: `${'x'.repeat(29)} `, text },
    40,
    [`${'x'.repeat(29)} one two`, '    three four five six seven eight nine', '    ten eleven twelve'],
  ],
  [
    'a terminal without a usable width: 40 columns',
    { label: '', text: text.slice(0, 41) },
    1,
    ['one two three four five six seven eight', 'n'],
  ],
  [
    'a word that is too long is not broken',
    { label: '', text: `a ${'b'.repeat(50)} c` },
    40,
    ['a', 'b'.repeat(50), 'c'],
  ],
  ['an empty line', { label: '', text: '' }, 80, ['']],
] as [string, Line, number | undefined, string[]][]) {
  layout(title, () => {
    assert.equal(layOut([line], { color: false, columns }).split('\n'), [...expected, '']);
  });
}
layout('every line of a coloured text ends its colour', () => {
  const shown = layOut([{ label: 'a: ', text, labelStyle: ['red', 'bold'], textStyle: 'dim' }], {
    color: true,
    columns: 40,
  });
  assert.is(shown.trimEnd().split('\n').length, 2);
  for (const each of shown.trimEnd().split('\n')) assert.match(each, /\x1b\[22m$/); // oxlint-disable-line no-control-regex -- colours
});
layout.run();

const explained = suite('explain');
for (const { id, title } of checks) {
  explained(id, () => {
    const text = explain(id);
    assert.ok(text.startsWith(`${id}: ${title}\n`));
    assert.ok(
      text.split('\n').every((line) => line.length <= 80),
      text,
    );
    assert.ok(text.endsWith('\n'));
  });
}
explained('an unknown check', () => {
  assert.throws(
    () => explain('root'),
    (error: unknown) => error instanceof UsageError && /root-readonly/.test(error.message),
  );
});
explained.run();
