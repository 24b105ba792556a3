import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isAccepted, isPath, parseAccepted } from '../../../../agent/config/accepted.ts';
import { withAccepted } from '../../../../agent/prepare/steps/accepted.ts';

const accepted = suite('accepted changes');
const by = '# 2026-03-04T05:06:07.089Z, alice:';
const none = { paths: [], until: 0, invalid: [], text: null };

accepted('an entry is added once, and comments stay', () => {
  const text = '# mine\n/root';
  const before = { ...parseAccepted(text), text };
  assert.is(withAccepted(before, by, ['/root', '/root/.ssh'], undefined), undefined);
  assert.is(withAccepted(before, by, ['/opt/x', '/opt/x'], undefined), `# mine\n/root\n${by}\n/opt/x\n`);
});

accepted('a later point in time replaces an earlier one, and an earlier one changes nothing', () => {
  const text = `# mine:\n${by}\nuntil 2026-01-02T00:00:00.000Z\n/a\n`;
  const before = { ...parseAccepted(text), text };
  const day = Date.UTC(2026, 0, 2) / 1000;
  assert.is(withAccepted(before, by, [], day), undefined);
  assert.is(withAccepted(before, by, [], day + 1), `# mine:\n/a\n${by}\nuntil 2026-01-02T00:00:01.000Z\n`);
});

const anyPath = fc
  .array(
    fc.string({
      unit: fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code)),
      minLength: 1,
    }),
    {
      minLength: 1,
      maxLength: 4,
    },
  )
  .map((parts) => `/${parts.join('/')}`);

accepted('what is added is read back, for every path that is permitted', () => {
  fc.assert(
    fc.property(fc.array(anyPath), fc.option(fc.integer({ min: 1, max: 4e9 })), (all, until) => {
      const paths = all.filter(isPath);
      const text = withAccepted(none, by, paths, until ?? undefined);
      const read = { ...parseAccepted(text ?? ''), text: text ?? null };
      assert.equal(read.invalid, []);
      assert.is(read.until, until ?? 0);
      assert.ok(paths.every((path) => isAccepted(read, path)));
      assert.is(withAccepted(read, by, paths, until ?? undefined), undefined, 'nothing is left to add');
    }),
  );
});
accepted.run();
