import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { HostError, UsageError } from '../../../../agent/lib/errors.ts';
import { type SystemWriter, systemWriter } from '../../../../agent/system/writer.ts';
import { apply } from '../../../../agent/prepare/engine/execute.ts';
import type { Entry } from '../../../../agent/prepare/engine/action-log.ts';
import type { Action } from '../../../../agent/prepare/engine/step.ts';
import { withGuest } from '../../../harness/guest.ts';
import { ordinaryGuest } from '../../../harness/ordinary-guest.ts';
import { tree, withBox } from '../../../harness/prepare-box.ts';
const applying = suite('--apply');
applying('does what is needed, notes it, and has nothing to do afterwards', () =>
  withBox(ordinaryGuest(), async ({ root, prepare, journal }) => {
    const { code, stdout } = await prepare({ apply: true, yes: true });
    assert.is(code, 0, stdout);
    assert.match(stdout, 'Nothing is left to do; not looked at: home.');
    assert.is(fs.readlinkSync(path.join(root, 'etc/mtab')), '../proc/self/mounts');
    assert.match(
      fs.readFileSync(path.join(root, 'etc/fstab'), 'latin1'),
      /^\/dev\/mapper\/rhel-root .* defaults,ro /m,
    );
    const entries = journal();
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
    assert.is(journal().length, entries.length);
  }),
);
applying('owner and mode of an edited file stay', () =>
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
applying('without --yes and without a terminal nothing is done', () =>
  withBox(ordinaryGuest(), async ({ root, prepare }) => {
    const before = tree(root);
    for (const options of [{ apply: true }, { apply: true, json: true }]) {
      try {
        await prepare(options);
        assert.unreachable('no error');
      } catch (error) {
        assert.instance(error, UsageError);
        assert.match((error as Error).message, /needs --yes/);
      }
    }
    assert.equal(tree(root), before);
  }),
);
applying('a program that fails ends it, with what it said', () =>
  withBox(ordinaryGuest(), async ({ writer, prepare, journal }) => {
    const run: SystemWriter['run'] = () =>
      Promise.resolve({ exit: 1, stdout: '', stderr: 'a\nno space left\n', late: false });
    try {
      await prepare({ apply: true, yes: true, only: ['initramfs'], skip: [] }, { ...writer, run });
      assert.unreachable('no error');
    } catch (error) {
      assert.instance(error, HostError);
      assert.match(
        (error as Error).message,
        /^\/usr\/bin\/dracut --force .* ended with 1: a; no space left$/,
      );
    }
    assert.match(journal().at(-1)?.problem ?? '', /no space left/);
  }),
);
applying('a program that does nothing is found out', () =>
  withBox(ordinaryGuest(), async ({ writer, prepare }) => {
    const run: SystemWriter['run'] = () => Promise.resolve({ exit: 0, stdout: '', stderr: '', late: false });
    const { code, stdout } = await prepare(
      { apply: true, yes: true, only: ['etc'], skip: [] },
      { ...writer, run },
    );
    assert.is(code, 1);
    assert.match(stdout, 'etc was done, and is still needed.');
  }),
);
applying('a file that has changed since it was looked at is left alone', () =>
  withGuest(ordinaryGuest(), async (reader, root) => {
    const actions: Action[] = [{ do: 'edit', file: '/etc/fstab', before: 'something else', after: 'new' }];
    const voice = { say: () => undefined, progress: () => undefined };
    try {
      await apply(reader, systemWriter(root), { id: 'tmp', state: 'needed', why: [], actions }, voice);
      assert.unreachable('no error');
    } catch (error) {
      assert.is((error as Error).message, '/etc/fstab has changed since it was looked at');
    }
    assert.match(reader.read('/etc/fstab'), '/dev/mapper/rhel-root');
  }),
);
applying('one at a time: neither --apply nor --undo while another one is at work', () =>
  withBox(ordinaryGuest(), async ({ writer, prepare, journal }) => {
    await prepare({ apply: true, yes: true, only: ['mtab'] });
    const unlock = writer.lock('/run/immutafs/prepare.lock');
    const log = journal();
    for (const options of [{ apply: true, yes: true }, { undo: true }]) {
      try {
        await prepare(options);
        assert.unreachable('no error');
      } catch (error) {
        assert.match((error as Error).message, /another immutafs-agent prepare is running \(process \d+\)/);
      }
    }
    assert.equal(journal(), log);
    unlock();
    assert.is((await prepare({ apply: true, yes: true })).code, 0);
  }),
);
for (const [title, entries] of [
  ['gone', () => []],
  [
    'gone, and its number is another one’s',
    (log: Entry[]) => [{ ...log.at(-1), id: 'another', began: '2026-01-01T00:00:00.000Z' }],
  ],
] as const) {
  applying(`an entry that is ${title} is an error`, () =>
    withBox(ordinaryGuest(), async ({ root, writer, prepare, journal }) => {
      const file = path.join(root, 'var/lib/immutafs/prepare.json');
      const run: SystemWriter['run'] = (...all) => {
        fs.writeFileSync(file, JSON.stringify({ schema: 1, entries: entries(journal()) }));
        return writer.run(...all);
      };
      try {
        await prepare({ apply: true, yes: true, only: ['initramfs'], skip: [] }, { ...writer, run });
        assert.unreachable('no error');
      } catch (error) {
        assert.instance(error, HostError);
        assert.match((error as Error).message, /prepare\.json: entry 1 \(initramfs, run\) is gone/);
      }
      assert.equal(
        journal().map(({ ended }) => ended),
        entries([]).map(() => null),
      );
    }),
  );
}
applying.run();
