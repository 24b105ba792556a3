import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { HostError, UsageError } from '../../../agent/errors.ts';
import { type Hands, systemHands } from '../../../agent/host/hands.ts';
import { apply } from '../../../agent/prepare/apply.ts';
import type { Action } from '../../../agent/prepare/step.ts';
import { withGuest } from '../../support/guest.ts';
import { ordinaryGuest } from '../../support/ordinary-guest.ts';
import { tree, withBox } from '../../support/prepare-box.ts';
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
  withBox(ordinaryGuest(), async ({ hands, prepare, journal }) => {
    const run: Hands['run'] = () =>
      Promise.resolve({ exit: 1, stdout: '', stderr: 'a\nno space left\n', late: false });
    try {
      await prepare({ apply: true, yes: true, only: ['initramfs'], skip: [] }, { ...hands, run });
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
  withBox(ordinaryGuest(), async ({ hands, prepare }) => {
    const run: Hands['run'] = () => Promise.resolve({ exit: 0, stdout: '', stderr: '', late: false });
    const { code, stdout } = await prepare(
      { apply: true, yes: true, only: ['etc'], skip: [] },
      { ...hands, run },
    );
    assert.is(code, 1);
    assert.match(stdout, 'etc was done, and is still needed.');
  }),
);
applying('a file that has changed since it was looked at is left alone', () =>
  withGuest(ordinaryGuest(), async (host, root) => {
    const actions: Action[] = [{ do: 'edit', file: '/etc/fstab', before: 'something else', after: 'new' }];
    const voice = { say: () => undefined, progress: () => undefined };
    try {
      await apply(host, systemHands(root), { id: 'tmp', state: 'needed', why: [], actions }, voice);
      assert.unreachable('no error');
    } catch (error) {
      assert.is((error as Error).message, '/etc/fstab has changed since it was looked at');
    }
    assert.match(host.read('/etc/fstab'), '/dev/mapper/rhel-root');
  }),
);
applying('two at a time', () =>
  withBox(ordinaryGuest(), async ({ root, prepare }) => {
    // Another process that lives: the one that started this one.
    fs.writeFileSync(path.join(root, 'run/immutafs/prepare.lock'), `${process.ppid}\n`);
    try {
      await prepare({ apply: true, yes: true });
      assert.unreachable('no error');
    } catch (error) {
      assert.match((error as Error).message, /another immutafs-agent prepare is at work/);
    }
    fs.writeFileSync(path.join(root, 'run/immutafs/prepare.lock'), '999999999\n');
    assert.is((await prepare({ apply: true, yes: true })).code, 0, 'one that has died');
  }),
);
applying.run();
