import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SystemError } from '../../../../agent/lib/errors.ts';
import type { LoggedAction } from '../../../../agent/prepare/engine/action-log.ts';
import { installHint } from '../../../../agent/prepare/engine/install-hint.ts';
import { systemReader } from '../../../../agent/system/reader.ts';
import type { SystemWriter } from '../../../../agent/system/writer.ts';
import { ordinaryGuest } from '../../../harness/ordinary-guest.ts';
import { withBox } from '../../../harness/prepare-box.ts';
import { inTemporaryDirectory, writeFiles } from '../../../harness/temporary.ts';
import { errorOf } from '../../../harness/rejection.ts';

const log = suite('prepare: the action log');
log('another content is an error', () =>
  withBox(ordinaryGuest(), async ({ root, prepare }) => {
    await prepare({ apply: true, yes: true });
    fs.writeFileSync(path.join(root, 'var/lib/immutafs/prepare.json'), '{"schema":2,"entries":[]}');
    const error = await errorOf(prepare({ undo: true }));
    assert.match(error.message, /prepare\.json was not written by prepare: its schema is 2/);
  }),
);
for (const [title, entries] of [
  ['gone', () => []],
  [
    'gone, with its number in use again',
    (logged: LoggedAction[]) => [{ ...logged.at(-1), id: 'another', began: '2026-01-01T00:00:00.000Z' }],
  ],
] as const) {
  log(`an entry that is ${title} is an error`, () =>
    withBox(ordinaryGuest(), async ({ root, writer, prepare, actionLog }) => {
      const file = path.join(root, 'var/lib/immutafs/prepare.json');
      const run: SystemWriter['run'] = (...all) => {
        fs.writeFileSync(file, JSON.stringify({ schema: 1, entries: entries(actionLog()) }));
        return writer.run(...all);
      };
      const error = await errorOf(
        prepare({ apply: true, yes: true, only: ['initramfs'], skip: [] }, { ...writer, run }),
      );
      assert.instance(error, SystemError);
      assert.match(error.message, /prepare\.json: entry 1 \(initramfs, run\) is gone/);
      assert.equal(
        actionLog().map(({ ended }) => ended),
        entries([]).map(() => null),
      );
    }),
  );
}
log.run();

const hint = suite('installHint');
for (const [title, programs, expected] of [
  ['RHEL 8 and later', ['dnf', 'yum'], 'run `dnf install attr`'],
  ['RHEL 7', ['yum'], 'run `yum install attr`'],
  ['Debian', ['apt-get'], 'run `apt-get install attr`'],
  ['another system', ['zypper'], 'install the package attr'],
] as const) {
  hint(title, () =>
    inTemporaryDirectory((root) => {
      writeFiles(root, Object.fromEntries(programs.map((each) => [`usr/bin/${each}`, ''])));
      assert.is(installHint(systemReader({ root }), 'attr'), expected);
    }),
  );
}
hint.run();
