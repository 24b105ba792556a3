import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ordinaryGuest } from '../../../harness/ordinary-guest.ts';
import { edited, tree, withBox } from '../../../harness/prepare-box.ts';
const undoing = suite('--undo');
undoing('gives back every file as it was', () =>
  withBox(ordinaryGuest(), async ({ root, prepare, journal }) => {
    const before = tree(root);
    await prepare({ apply: true, yes: true });
    const done = tree(root);
    for (const file of edited) assert.is.not(done[file], before[file], file);
    const { code, stdout } = await prepare({ undo: true });
    assert.is(code, 0);
    assert.match(stdout, '/etc/fstab is as it was');
    assert.match(stdout, 'stays: what /usr/bin/dracut');
    for (const file of edited) assert.is(tree(root)[file], before[file], file);
    assert.equal(journal(), []);
    assert.match((await prepare({ undo: true })).stdout, 'prepare has changed nothing here.');
    assert.is((await prepare()).code, 1);
  }),
);
undoing('removes what was not there', () => {
  const guest = ordinaryGuest();
  delete guest.files['etc/mtab'];
  return withBox(guest, async ({ root, prepare }) => {
    await prepare({ apply: true, yes: true });
    assert.is((await prepare({ undo: true })).code, 0);
    assert.is(fs.existsSync(path.join(root, 'etc/mtab')), false);
  });
});
undoing('a file that somebody changed since stays, and can be undone later', () =>
  withBox(ordinaryGuest(), async ({ root, prepare, journal }) => {
    const before = tree(root);
    await prepare({ apply: true, yes: true });
    const fstab = path.join(root, 'etc/fstab');
    const ours = fs.readFileSync(fstab);
    fs.appendFileSync(fstab, '# mine\n');
    const { code, stdout } = await prepare({ undo: true });
    assert.is(code, 1);
    assert.match(
      stdout,
      '/etc/fstab was changed since and stays; its old content is in /var/lib/immutafs/backup/etc-fstab.2',
    );
    assert.match(fs.readFileSync(fstab, 'latin1'), /# mine\n$/);
    assert.is(tree(root)['etc/mtab'], before['etc/mtab']);
    assert.is(journal().length, 2);
    fs.writeFileSync(fstab, ours);
    assert.is((await prepare({ undo: true })).code, 0);
    assert.is(tree(root)['etc/fstab'], before['etc/fstab']);
  }),
);
undoing('nothing once the old content of /home was removed: /home would be empty', () =>
  withBox(ordinaryGuest(), async ({ root, prepare, journal }) => {
    await prepare({ apply: true, yes: true });
    const done = tree(root);
    const file = path.join(root, 'var/lib/immutafs/prepare.json');
    const purged = { ...journal()[0], number: 99, step: 'home', action: { do: 'purge-home' }, backup: null };
    fs.writeFileSync(file, JSON.stringify({ schema: 1, entries: [...journal(), purged] }));
    const { code, stdout } = await prepare({ undo: true });
    assert.is(code, 1);
    assert.match(
      stdout,
      /^The old content of \/home was removed.*Nothing is undone; .*\/var\/lib\/immutafs\/backup\.$/m,
    );
    assert.equal(tree(root), done);
    assert.is(journal().at(-1)?.number, 99);
  }),
);
undoing('bytes that are no UTF-8', () => {
  const guest = ordinaryGuest();
  guest.files['etc/fstab'] = `# caf\xe9 \xc3\xa9 \x80\n/dev/mapper/rhel-root / xfs defaults 0 0\n`;
  return withBox(guest, async ({ root, prepare }) => {
    const before = tree(root);
    assert.is((await prepare({ apply: true, yes: true })).code, 0);
    assert.match(fs.readFileSync(path.join(root, 'etc/fstab'), 'latin1'), /^# caf\xe9 \xc3\xa9 \x80\n/);
    assert.is((await prepare({ undo: true })).code, 0);
    assert.is(tree(root)['etc/fstab'], before['etc/fstab']);
  });
});
undoing('a journal that somebody spoilt', () =>
  withBox(ordinaryGuest(), async ({ root, prepare }) => {
    await prepare({ apply: true, yes: true });
    fs.writeFileSync(path.join(root, 'var/lib/immutafs/prepare.json'), '{"schema":2,"entries":[]}');
    try {
      await prepare({ undo: true });
      assert.unreachable('no error');
    } catch (error) {
      assert.match((error as Error).message, /prepare\.json is not what prepare wrote: its schema is 2/);
    }
  }),
);
undoing.run();
