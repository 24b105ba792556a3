import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { answerParser, xattrReader } from '../../../../agent/system/layers/xattrs.ts';

const parsing = suite('output of read-xattrs');
const bytes = (text: string) => Buffer.from(text, 'latin1');
const whole = '=user.a\0:3\0b\0c=user.e\0:0\0.0\0.2\0.0\0';

parsing('attributes, a path that does not exist, and one without attributes, in parts of any size', () => {
  for (let size = 1; size <= whole.length; size++) {
    const parser = answerParser(3);
    let answers: ReturnType<typeof parser.add>;
    for (let at = 0; at < whole.length; at += size) answers = parser.add(bytes(whole.slice(at, at + size)));
    const [first, second, third] = answers ?? [];
    assert.equal(
      [...((first ?? new Map()) as Map<string, string>)],
      [
        ['user.a', 'b\0c'],
        ['user.e', ''],
      ],
    );
    assert.equal([second, third], [{ error: 'ENOENT' }, new Map()]);
  }
});
for (const [title, text] of [
  ['more than expected', '.0\0.0\0'],
  ['no size', '=user.a\0x\0'],
  ['another beginning', 'user.a\0:1\0'],
] as const) {
  parsing(`${title} is an error`, () => assert.throws(() => answerParser(1).add(bytes(text))));
}
for (const [title, program] of [
  ['a program that does not exist', '/nonexistent/read-xattrs'],
  ['a program that ends', '/bin/true'],
  ['a program that prints something else', '/bin/cat'],
] as const) {
  parsing(`${title} is an error of each request`, async () => {
    const reader = xattrReader(program);
    for (let count = 0; count < 2; count++) {
      const failed = await reader.read(['/x']).then(
        () => false,
        () => true,
      );
      assert.ok(failed);
    }
    reader.close();
  });
}
parsing('no path needs no program', async () => {
  assert.equal(await xattrReader('/nonexistent').read([]), []);
});
parsing.run();
