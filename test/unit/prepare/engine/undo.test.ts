import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { SystemWriter } from '../../../../agent/system/writer.ts';
import { ordinaryGuest } from '../../../harness/ordinary-guest.ts';
import { type Box, edited, tree, withBox } from '../../../harness/prepare-box.ts';
import { guestWith } from '../../../harness/step-table.ts';

const undoing = suite('--undo');
undoing('restores every file', () =>
  withBox(ordinaryGuest(), async ({ root, prepare, actionLog }) => {
    const before = tree(root);
    await prepare({ apply: true, yes: true });
    const done = tree(root);
    for (const file of edited) assert.is.not(done[file], before[file], file);
    const { code, stdout } = await prepare({ undo: true });
    assert.is(code, 0);
    assert.match(stdout, '/etc/fstab: restored');
    assert.match(stdout, 'not undone: what /usr/bin/dracut');
    for (const file of edited) assert.is(tree(root)[file], before[file], file);
    assert.equal(actionLog(), []);
    assert.match((await prepare({ undo: true })).stdout, 'Nothing to undo: prepare has changed nothing.');
    assert.is((await prepare()).code, 1);
  }),
);
undoing('removes a file that did not exist before', () => {
  const guest = ordinaryGuest();
  delete guest.files['etc/mtab'];
  return withBox(guest, async ({ root, prepare }) => {
    await prepare({ apply: true, yes: true });
    assert.is((await prepare({ undo: true })).code, 0);
    assert.is(fs.existsSync(path.join(root, 'etc/mtab')), false);
  });
});
undoing('a file that was changed since stays, and can be restored later', () =>
  withBox(ordinaryGuest(), async ({ root, prepare, actionLog }) => {
    const before = tree(root);
    await prepare({ apply: true, yes: true });
    const fstab = path.join(root, 'etc/fstab');
    const ours = fs.readFileSync(fstab);
    fs.appendFileSync(fstab, '# mine\n');
    const { code, stdout } = await prepare({ undo: true });
    assert.is(code, 1);
    assert.match(
      stdout,
      '/etc/fstab: kept, because it was changed after prepare; its old content is in /var/lib/immutafs/backup/etc-fstab.2',
    );
    assert.match(fs.readFileSync(fstab, 'latin1'), /# mine\n$/);
    assert.is(tree(root)['etc/mtab'], before['etc/mtab']);
    assert.is(actionLog().length, 2);
    fs.writeFileSync(fstab, ours);
    assert.is((await prepare({ undo: true })).code, 0);
    assert.is(tree(root)['etc/fstab'], before['etc/fstab']);
  }),
);
undoing('restores nothing once the old content of /home was removed: /home would be empty', () =>
  withBox(ordinaryGuest(), async ({ root, prepare, actionLog }) => {
    await prepare({ apply: true, yes: true });
    const done = tree(root);
    const file = path.join(root, 'var/lib/immutafs/prepare.json');
    const purged = {
      ...actionLog()[0],
      number: 99,
      step: 'home',
      action: { do: 'purge-home' },
      backup: null,
    };
    fs.writeFileSync(file, JSON.stringify({ schema: 1, entries: [...actionLog(), purged] }));
    const { code, stdout } = await prepare({ undo: true });
    assert.is(code, 1);
    assert.match(
      stdout,
      /^Nothing is undone, because --purge-old-home has begun .*\/var\/lib\/immutafs\/backup\.$/m,
    );
    assert.equal(tree(root), done);
    assert.is(actionLog().at(-1)?.number, 99);
  }),
);
const cutover = [
  { do: 'partition-home', disk: '/dev/vdb', wipe: false },
  { do: 'copy-home', disk: '/dev/vdb', wipe: false },
  { do: 'cutover-home', disk: '/dev/vdb', file: '/etc/fstab', before: 'old\n', after: 'new\n' },
  { do: 'clear-home-marker', disk: '/dev/vdb' },
] as const;
undoing('restores fstab after a cutover of /home', () =>
  withBox(ordinaryGuest(), async ({ root, prepare, actionLog }) => {
    const folder = path.join(root, 'var/lib/immutafs');
    fs.mkdirSync(path.join(folder, 'backup'), { recursive: true });
    fs.writeFileSync(path.join(folder, 'backup/etc-fstab.1'), 'old\n');
    fs.writeFileSync(path.join(root, 'etc/fstab'), 'new\n');
    const entries = cutover.map((action, index) => ({
      ...{ number: index + 1, step: 'home', action, began: '2026-01-01T00:00:00.000Z', ended: null },
      ...{ problem: null, backup: 'file' in action ? '/var/lib/immutafs/backup/etc-fstab.1' : null },
    }));
    fs.writeFileSync(path.join(folder, 'prepare.json'), JSON.stringify({ schema: 1, entries }));
    const { code, stdout } = await prepare({ undo: true });
    assert.is(code, 0, stdout);
    assert.is(fs.readFileSync(path.join(root, 'etc/fstab'), 'latin1'), 'old\n');
    assert.match(stdout, 'not undone: the copy of /home on /dev/vdb');
    assert.equal(actionLog(), []);
  }),
);
undoing('restores bytes that are not UTF-8', () => {
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
undoing.run();

const guestWithoutKeys = () =>
  guestWith({
    'usr/sbin/sshd': 'program',
    'usr/bin/ssh-keygen': 'program',
    'usr/lib/systemd/system/sshd-keygen@.service': '',
    'etc/ssh/ssh_host_rsa_key': 'old',
  });
const names = ['ssh_host_ecdsa_key', 'ssh_host_ecdsa_key.pub', 'ssh_host_ed25519_key'];

/** Returns a writer with a stub for `ssh-keygen -A`, which keeps existing keys. */
const withKeygen = ({ root, writer }: Box): SystemWriter => ({
  ...writer,
  run: (program, args, ...rest) => {
    if (program !== '/usr/bin/ssh-keygen') return writer.run(program, args, ...rest);
    // The clock of the fixture does not advance.
    const now = new Date('2026-03-04T05:06:07Z');
    for (const name of names) {
      const file = path.join(root, 'etc/ssh', name);
      fs.writeFileSync(file, 'new');
      fs.utimesSync(file, now, now);
    }
    return Promise.resolve({ exit: 0, stdout: '', stderr: '', late: false });
  },
});
const keys = (root: string) => fs.readdirSync(path.join(root, 'etc/ssh')).sort();

const made = suite('--undo: files that a program created');
made('--undo removes new host keys and keeps the old one', () =>
  withBox(guestWithoutKeys(), async (box) => {
    const { code, stdout } = await box.prepare({ apply: true, yes: true, only: ['etc'] }, withKeygen(box));
    assert.is(code, 0, stdout);
    assert.equal(keys(box.root), [...names, 'ssh_host_rsa_key']);
    const undone = await box.prepare({ undo: true });
    assert.is(undone.code, 0, undone.stdout);
    assert.equal(keys(box.root), ['ssh_host_rsa_key']);
    assert.equal(box.actionLog(), []);
  }),
);

made('a file that was changed since stays, is named, and remains in the action log', () =>
  withBox(guestWithoutKeys(), async (box) => {
    await box.prepare({ apply: true, yes: true, only: ['etc'] }, withKeygen(box));
    const changed = path.join(box.root, 'etc/ssh/ssh_host_ecdsa_key');
    const later = new Date('2027-01-01T00:00:00Z');
    fs.utimesSync(changed, later, later);
    const { code, stdout } = await box.prepare({ undo: true });
    assert.is(code, 1);
    assert.match(stdout, '/etc/ssh/ssh_host_ecdsa_key: kept, because');
    assert.equal(keys(box.root), ['ssh_host_ecdsa_key', 'ssh_host_rsa_key']);
    assert.equal(
      box.actionLog().map(({ action }) => action.do === 'run' && action.program),
      ['/usr/bin/ssh-keygen'],
    );
  }),
);
made.run();
