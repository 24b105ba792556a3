import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { callPlugin } from '../../harness/collection.ts';

const reason = suite('the reason why a command in a guest failed');
const progress = 'immutafs-agent: progress: reading /usr (10 s)\n';
for (const [title, stderr, stdout, expected] of [
  ['the error messages', 'a\nb\n', 'out', 'a b'],
  ['the output, without error messages', '', 'step  boot\n', 'step boot'],
  ['progress is no error message', progress, 'step boot', 'step boot'],
  [
    'an error message after progress',
    `${progress}${progress}immutafs-agent: no disk\n`,
    'out',
    'immutafs-agent: no disk',
  ],
  ['the end of a long one', 'x'.repeat(2000), '', 'x'.repeat(1000)],
] as const) {
  reason(title, () => assert.is(callPlugin('action.guest', 'reason_of', { stderr, stdout }), expected));
}
reason.run();
