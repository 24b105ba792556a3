import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SystemError, UsageError } from '../../../../agent/lib/errors.ts';
import { type SystemWriter, systemWriter } from '../../../../agent/system/writer.ts';
import { apply, applyAll } from '../../../../agent/prepare/engine/apply.ts';
import { readActionLog } from '../../../../agent/prepare/engine/action-log.ts';
import { PlanOutdated } from '../../../../agent/prepare/engine/context.ts';
import type { Planners } from '../../../../agent/prepare/engine/plan.ts';
import { type Action, type Step, noSettings } from '../../../../agent/prepare/engine/step.ts';
import { executorsWith, silent } from '../../../harness/fake-executors.ts';
import { withGuest } from '../../../harness/guest.ts';
import { ordinaryGuest } from '../../../harness/ordinary-guest.ts';
import { tree, withBox } from '../../../harness/prepare-box.ts';
import { errorOf } from '../../../harness/rejection.ts';
const applying = suite('--apply');
applying('carries out and logs the needed actions; afterwards nothing is left to do', () =>
  withBox(ordinaryGuest(), async ({ root, prepare, actionLog }) => {
    const { code, stdout } = await prepare({ apply: true, yes: true });
    assert.is(code, 0, stdout);
    assert.match(stdout, 'Nothing is left to do. Skipped steps: home.');
    assert.is(fs.readlinkSync(path.join(root, 'etc/mtab')), '../proc/self/mounts');
    assert.match(
      fs.readFileSync(path.join(root, 'etc/fstab'), 'latin1'),
      /^\/dev\/mapper\/rhel-root .* defaults,ro /m,
    );
    const entries = actionLog();
    assert.equal(
      entries.map(({ step, action, ended, problem }) => [step, action.do, ended === null, problem]),
      [
        ['tmp', 'edit', false, null],
        ['mtab', 'link', false, null],
        ['fstab', 'edit', false, null],
        ['etc', 'link', false, null],
        ['etc', 'run', false, null],
        ['initramfs', 'run', false, null],
        ['initramfs', 'rename', false, null],
        ['initramfs', 'run', false, null],
      ],
    );
    const done = tree(root);
    assert.is((await prepare({ apply: true, yes: true })).code, 0);
    assert.equal(tree(root), done);
    assert.is(actionLog().length, entries.length);
  }),
);
applying('an edited file keeps its owner and mode', () =>
  withBox(ordinaryGuest(), async ({ root, prepare }) => {
    const fstab = path.join(root, 'etc/fstab');
    fs.chmodSync(fstab, 0o640);
    if (process.getuid?.() === 0) fs.chownSync(fstab, 3, 4);
    const { mode, uid, gid } = fs.statSync(fstab);
    await prepare({ apply: true, yes: true, only: ['tmp'], skip: [] });
    const now = fs.statSync(fstab);
    assert.equal([now.mode, now.uid, now.gid], [mode, uid, gid]);
    assert.match(fs.readFileSync(fstab, 'latin1'), 'tmpfs /tmp');
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
applying('stops if a program fails, and prints the last lines of stderr', () =>
  withBox(ordinaryGuest(), async ({ writer, prepare, actionLog }) => {
    const run: SystemWriter['run'] = () =>
      Promise.resolve({ exit: 1, stdout: '', stderr: 'a\nno space left\n', late: false });
    const error = await errorOf(
      prepare({ apply: true, yes: true, only: ['initramfs'], skip: [] }, { ...writer, run }),
    );
    assert.instance(error, SystemError);
    assert.match(error.message, /^\/usr\/bin\/dracut --force .* ended with 1: a; no space left$/);
    assert.match(actionLog().at(-1)?.problem ?? '', /no space left/);
  }),
);
applying('a program that succeeds and changes nothing is reported', () =>
  withBox(ordinaryGuest(), async ({ writer, prepare }) => {
    const run: SystemWriter['run'] = () => Promise.resolve({ exit: 0, stdout: '', stderr: '', late: false });
    const { code, stdout } = await prepare(
      { apply: true, yes: true, only: ['etc'], skip: [] },
      { ...writer, run },
    );
    assert.is(code, 1);
    assert.match(stdout, 'etc was carried out, but the step is still needed.');
  }),
);
applying('a file that was changed after the plan was made stays as it is', () =>
  withGuest(ordinaryGuest(), async (reader, root) => {
    const actions: Action[] = [{ do: 'edit', file: '/etc/fstab', before: 'something else', after: 'new' }];
    const step = { id: 'tmp', state: 'needed', why: [], actions } as Step;
    const error = await errorOf(apply(executorsWith(), reader, systemWriter(root), step, silent));
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
applying.run();

const engine = suite('the engine');
const marking: Action = { do: 'clear-home-marker', disk: '/dev/vdb' };
const copying: Action = { do: 'copy-home', disk: '/dev/vdb', wipe: false };

/**
 * Returns planners whose successive plans contain one action each, in the given order. After the last action, the step
 * is done.
 */
function plannersOf(...actions: Action[]): Planners {
  const done = () => ({ id: 'home', state: 'done', why: [], actions: [] }) as Step;
  const home = () => {
    const action = actions.shift();
    return action === undefined
      ? done()
      : ({ id: 'home', state: 'needed', why: [], actions: [action] } as Step);
  };
  return {
    home,
    tmp: done,
    mtab: done,
    fstab: done,
    etc: done,
    state: done,
    scratch: done,
    var: done,
    audit: done,
    writes: done,
    exec: done,
    initramfs: done,
    boot: done,
    image: done,
  };
}

engine('logs the action as it was completed, before it is carried out', () =>
  withGuest(ordinaryGuest(), async (reader, root) => {
    const planned = {
      do: 'cutover-home',
      disk: '/dev/vdb',
      file: '/etc/fstab',
      before: null,
      after: null,
    } as const;
    const completed = { ...planned, before: 'old', after: 'new' };
    const during: unknown[] = [];
    const executors = executorsWith({
      'cutover-home': {
        complete: () => Promise.resolve(completed),
        execute: (_, action) => void during.push(action, readActionLog(reader).at(-1)),
      },
    });
    const step: Step = { id: 'home', state: 'needed', why: [], actions: [planned] };
    await apply(executors, reader, systemWriter(root), step, silent);
    const [entry, ...others] = readActionLog(reader);
    assert.is(others.length, 0);
    assert.equal(entry?.action, completed);
    assert.equal(during, [completed, { ...entry, ended: null }]);
    assert.is(entry?.backup, '/var/lib/immutafs/backup/etc-fstab.1');
  }),
);

engine('plans a step again if an executor finds the plan outdated', () =>
  withGuest(ordinaryGuest(), async (reader, root) => {
    const executors = executorsWith({
      'copy-home': {
        execute: () => {
          throw new PlanOutdated('it is made again');
        },
      },
      'clear-home-marker': { execute: () => undefined },
    });
    const said: string[] = [];
    const printer = { ...silent, say: (text: string) => void said.push(text) };
    const apply = (...actions: Action[]) =>
      applyAll(
        { planners: plannersOf(...actions), executors },
        reader,
        systemWriter(root),
        noSettings,
        new Set(['home']),
        printer,
      );
    await apply(copying, marking);
    assert.ok(said.includes('it is made again'), said.join());
    assert.equal(
      readActionLog(reader).map(({ action, problem }) => [action.do, problem]),
      [
        ['copy-home', 'it is made again'],
        ['clear-home-marker', null],
      ],
    );
    const error = await errorOf(apply(copying, copying, marking));
    assert.instance(error, PlanOutdated);
  }),
);
engine.run();
