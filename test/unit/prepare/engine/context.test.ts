import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SystemError } from '../../../../agent/lib/errors.ts';
import type { Ran, SystemWriter } from '../../../../agent/system/writer.ts';
import { type Context, type Tools, contextOf } from '../../../../agent/prepare/engine/context.ts';
import { errorOf } from '../../../harness/rejection.ts';

const good: Ran = { exit: 0, stdout: 'out\n', stderr: '', late: false };

/** Calls `work` with a context in which all programs end in the same way. */
async function inContext(
  work: (context: Context) => Promise<void>,
  run: SystemWriter['run'] = () => Promise.resolve(good),
): Promise<void> {
  await work(contextOf({ writer: { run } as SystemWriter } as Tools));
}

async function messageOf(action: Promise<unknown>): Promise<string> {
  const error = await errorOf(action);
  assert.instance(error, SystemError);
  return error.message;
}

const context = suite('prepare: the context of a step');

for (const [title, ran, expected] of [
  ['fails', { ...good, exit: 3, stderr: 'a\nb\nc\nd\n' }, '/bin/x y ended with 3: b; c; d'],
  ['is killed', { ...good, exit: null }, '/bin/x y ended with a signal'],
  ['takes too long', { ...good, exit: null, late: true }, '/bin/x y did not end within 5 s'],
] as const) {
  context(`a program that ${title} is an error`, () =>
    inContext(
      async ({ run }) => {
        assert.is(await messageOf(run('/bin/x', ['y'], { seconds: 5 })), expected);
      },
      () => Promise.resolve(ran),
    ),
  );
}

context.run();
