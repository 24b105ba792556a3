import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { byLines, unescapeName } from '../../../../agent/prepare/move/rsync.ts';

const streams = suite('prepare home: the output of rsync');
streams('lines that arrive in any chunks', () => {
  const lines: string[] = [];
  const feed = byLines((each) => lines.push(each), /[\r\n]/);
  for (const part of ['ab', 'c\rde\n\n', 'f', '\r']) feed(part);
  assert.equal(lines, ['abc', 'de', 'f']);
});
streams('escaped names', () => {
  assert.is(unescapeName('with\\#012newline'), 'with\nnewline');
  assert.is(unescapeName('caf\\#303\\#251/plain \\#134#101'), 'caf\xc3\xa9/plain \\#101');
});
streams.run();
