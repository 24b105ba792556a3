import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checks } from '../../../agent/checks/index.ts';
import { UsageError } from '../../../agent/lib/errors.ts';
import { explain } from '../../../agent/report/explain.ts';

const explained = suite('explain');
for (const { id, documentation } of checks) {
  explained(id, () => {
    const text = explain(id);
    assert.ok(text.startsWith(`${id}: ${documentation.title}\n`));
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
