import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { limitJson, toJson } from '../../../agent/lib/unprintable.ts';

const limit = suite('texts of limited length in JSON');

const bytesOf = (text: string) => Buffer.byteLength(toJson(text)) - 2;

limit('a text is cut to the longest beginning that fits, and never within a character', () => {
  const text = fc.string({ unit: fc.constantFrom('a', '\x01', '"', '\u00e9', '\x9b', '\u{1f600}') });
  fc.assert(
    fc.property(text, fc.nat(60), (each, bytes) => {
      const cut = limitJson(each, bytes);
      assert.ok(each.startsWith(cut) && bytesOf(cut) <= bytes);
      const [next = ''] = each.slice(cut.length);
      assert.ok(next === '' || bytesOf(cut + next) > bytes, `${toJson(each)}, ${bytes}: ${toJson(cut)}`);
    }),
    { numRuns: 1000 },
  );
});

limit('a text that fits is unchanged, also with unpaired surrogates', () => {
  assert.is(limitJson('a\ud800', 7), 'a\ud800');
  assert.is(limitJson('a\ud800', 6), 'a');
});

limit.run();
