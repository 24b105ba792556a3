import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SystemError, UsageError } from '../../../../agent/lib/errors.ts';
import type { SystemWriter } from '../../../../agent/system/writer.ts';
import { apply } from '../../../../agent/prepare/engine/apply.ts';
import { type LoggedAction, readActionLog } from '../../../../agent/prepare/engine/action-log.ts';
import type { Action, Step } from '../../../../agent/prepare/engine/step.ts';
import { executorsWith, toolsOf } from '../../../harness/fake-executors.ts';
import { withGuest } from '../../../harness/guest.ts';
import { recordOf } from '../../../harness/moves.ts';
import { ordinaryGuest } from '../../../harness/ordinary-guest.ts';
import { tree, withBox } from '../../../harness/prepare-box.ts';
import { errorOf } from '../../../harness/rejection.ts';
const applying = suite('--apply');
applying('carries out and logs the needed actions; afterwards nothing is left to do', () =>
  withBox(ordinaryGuest(), async ({ root, at, read, prepare, actionLog }) => {
    const { code, stdout } = await prepare({ apply: true, yes: true });
    assert.is(code, 0, stdout);
    assert.match(stdout, 'Nothing is left to do. Skipped steps: home.');
    assert.is(fs.readlinkSync(at('etc/mtab')), '../proc/self/mounts');
    assert.match(read('etc/fstab'), /^\/dev\/mapper\/rhel-root .* defaults,ro /m);
    const entries = actionLog();
    assert.equal(
      entries.map(({ step, action }) => `${step} ${action.do}`),
      [
        ...['tmp edit', 'mtab link', 'fstab edit', 'etc link', 'etc run'],
        ...['initramfs run', 'initramfs rename', 'initramfs run'],
      ],
    );
    assert.ok(entries.every(({ ended, problem }) => ended !== null && problem === null));
    const done = tree(root);
    assert.is((await prepare({ apply: true, yes: true })).code, 0);
    assert.equal(tree(root), done);
    assert.is(actionLog().length, entries.length);
  }),
);
applying('changes nothing without --yes and a terminal', () =>
  withBox(ordinaryGuest(), async ({ root, prepare }) => {
    const before = tree(root);
    for (const options of [{ apply: true }, { apply: true, json: true }]) {
      const error = await errorOf(prepare(options));
      assert.instance(error, UsageError);
      assert.match(error.message, /needs --yes/);
    }
    assert.equal(tree(root), before);
  }),
);
/** Returns a function instead of `SystemWriter.run`: every program ends like this. */
const ending =
  (exit: number, stderr = '') =>
  () =>
    Promise.resolve({ exit, stdout: '', stderr, late: false });
applying('stops if a program fails, and prints the last lines of stderr', () =>
  withBox(ordinaryGuest(), async ({ writer, prepare, actionLog }) => {
    const run = ending(1, 'a\nno space left\n');
    const error = await errorOf(prepare({ apply: true, yes: true, only: ['initramfs'] }, { ...writer, run }));
    assert.instance(error, SystemError);
    assert.match(error.message, /^\/usr\/bin\/dracut --force .* ended with 1: a; no space left$/);
    assert.match(actionLog().at(-1)?.problem ?? '', /no space left/);
  }),
);
applying('a program that succeeds and changes nothing is reported', () =>
  withBox(ordinaryGuest(), async ({ writer, prepare }) => {
    const options = { apply: true, yes: true, only: ['etc' as const] };
    const { code, stdout } = await prepare(options, { ...writer, run: ending(0) });
    assert.is(code, 1);
    assert.match(
      stdout,
      'etc was carried out, but the step is still needed: run `immutafs-agent prepare` to see why.',
    );
  }),
);
applying('a file that was changed after the plan was made stays as it is', () =>
  withGuest(ordinaryGuest(), async (reader, root) => {
    const actions: Action[] = [{ do: 'edit', file: '/etc/fstab', before: 'something else', after: 'new' }];
    const step = { id: 'tmp', state: 'needed', why: [], actions } as Step;
    const error = await errorOf(apply(executorsWith(), toolsOf(reader, root), step));
    assert.is(error.message, '/etc/fstab was changed after the plan was made: run prepare again');
    assert.match(reader.read('/etc/fstab'), '/dev/mapper/rhel-root');
  }),
);
applying('neither --apply nor --undo runs while another process has the lock', () =>
  withBox(ordinaryGuest(), async ({ writer, prepare, actionLog }) => {
    await prepare({ apply: true, yes: true, only: ['mtab'] });
    const unlock = writer.lock('/run/immutafs/prepare.lock');
    const log = actionLog();
    for (const options of [{ apply: true, yes: true }, { undo: true }]) {
      const error = await errorOf(prepare(options));
      assert.match(error.message, /another immutafs-agent prepare is running \(process \d+\)/);
    }
    assert.equal(actionLog(), log);
    unlock();
    assert.is((await prepare({ apply: true, yes: true })).code, 0);
  }),
);
applying('what is recorded for the next boot stays while another process has the lock', () => {
  const guest = ordinaryGuest();
  const record = recordOf('/var/lib/app', 'a', { phase: 'planned', task: 'move' });
  guest.files['var/lib/immutafs/moves.json'] = record.replace('"rehearse":null', '"rehearse":600');
  return withBox(guest, async ({ read, writer, prepare }) => {
    const before = read('var/lib/immutafs/moves.json');
    const unlock = writer.lock('/run/immutafs/prepare.lock');
    for (const options of [{ undo: true }, { endRehearsal: true }]) {
      const error = await errorOf(prepare(options));
      assert.match(error.message, 'another immutafs-agent prepare is running');
      assert.is(read('var/lib/immutafs/moves.json'), before, Object.keys(options).join());
    }
    unlock();
  });
});
applying.run();

const log = suite('prepare: the action log');
log('another content is an error', () =>
  withBox(ordinaryGuest(), async ({ at, prepare }) => {
    await prepare({ apply: true, yes: true, only: ['mtab'] });
    fs.writeFileSync(at('var/lib/immutafs/prepare.json'), '{"schema":2,"entries":[]}');
    const error = await errorOf(prepare({ undo: true }));
    assert.match(error.message, /prepare\.json was not written by prepare: its schema is 2/);
  }),
);
log('a file in the place of its directory is an error, and a guest without a log is none', () =>
  withGuest(ordinaryGuest(), (reader, root) => {
    assert.equal(readActionLog(reader), []);
    fs.writeFileSync(path.join(root, 'var/lib/immutafs'), '');
    assert.throws(() => readActionLog(reader), /prepare\.json: not a directory/);
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
    withBox(ordinaryGuest(), async ({ at, writer, prepare, actionLog }) => {
      const run: SystemWriter['run'] = (...all) => {
        fs.writeFileSync(
          at('var/lib/immutafs/prepare.json'),
          JSON.stringify({ schema: 1, entries: entries(actionLog()) }),
        );
        return writer.run(...all);
      };
      const options = { apply: true, yes: true, only: ['initramfs' as const] };
      const error = await errorOf(prepare(options, { ...writer, run }));
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

const engine = suite('the engine');
engine('logs an action before it is carried out, and how it ended', () =>
  withGuest(ordinaryGuest(), async (reader, root) => {
    const action: Action = { do: 'plan-home', disk: '/dev/vdb' };
    const during: unknown[] = [];
    const executors = executorsWith({
      'plan-home': {
        execute: () => {
          during.push(readActionLog(reader).at(-1)?.ended);
          throw new SystemError('no disk');
        },
      },
    });
    const step: Step = { id: 'home', state: 'needed', why: [], actions: [action] };
    const error = await errorOf(apply(executors, toolsOf(reader, root), step));
    assert.is(error.message, 'no disk');
    const [entry, ...others] = readActionLog(reader);
    assert.equal([others.length, during, entry?.action, entry?.problem], [0, [null], action, 'no disk']);
  }),
);
engine.run();
