import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SystemError } from '../../../../agent/lib/errors.ts';
import type { SystemWriter } from '../../../../agent/system/writer.ts';
import { ordinaryGuest } from '../../../harness/ordinary-guest.ts';
import { type Box, type Said, edited, tree, withBox } from '../../../harness/prepare-box.ts';
import { guestWith } from '../../../harness/step-table.ts';

/** Returns the files except those that programs have made, which --undo names and does not restore. */
const withoutMade = (files: ReturnType<typeof tree>) =>
  Object.entries(files).filter(([name]) => !/^boot\/initramfs-|^etc\/lvm\/backup\//.test(name));

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
    assert.not.match(stdout, 'changes are not undone');
    assert.equal(withoutMade(tree(root)), withoutMade(before));
    assert.equal(actionLog(), []);
    assert.match((await prepare({ undo: true })).stdout, 'Nothing to undo: prepare has changed nothing.');
    assert.is((await prepare()).code, 1);
  }),
);
undoing('removes a file that did not exist before', () => {
  const guest = ordinaryGuest();
  delete guest.files['etc/mtab'];
  return withBox(guest, async ({ at, prepare }) => {
    await prepare({ apply: true, yes: true, only: ['mtab'] });
    assert.is((await prepare({ undo: true })).code, 0);
    assert.is(fs.existsSync(at('etc/mtab')), false);
  });
});
undoing('a file that was changed since stays, and can be restored later', () =>
  withBox(ordinaryGuest(), async ({ root, at, read, prepare, actionLog }) => {
    const before = tree(root);
    await prepare({ apply: true, yes: true });
    const ours = read('etc/fstab');
    fs.appendFileSync(at('etc/fstab'), '# mine\n');
    const { code, stdout } = await prepare({ undo: true });
    assert.is(code, 1);
    assert.match(
      stdout,
      '/etc/fstab: kept, because it was changed after prepare; its old content is in /var/lib/immutafs/backup/etc-fstab.2',
    );
    assert.match(
      stdout,
      /^2 of \d+ changes are not undone\. The original files are in \/var\/lib\/immutafs\/backup/m,
    );
    assert.match(read('etc/fstab'), /# mine\n$/);
    assert.is(tree(root)['etc/mtab'], before['etc/mtab']);
    assert.is(actionLog().length, 2);
    fs.writeFileSync(at('etc/fstab'), ours, 'latin1');
    assert.is((await prepare({ undo: true })).code, 0);
    assert.is(tree(root)['etc/fstab'], before['etc/fstab']);
  }),
);
undoing('a file that cannot be restored does not keep the others from being restored', () =>
  withBox(ordinaryGuest(), async ({ root, writer, prepare, actionLog }) => {
    const before = tree(root);
    await prepare({ apply: true, yes: true });
    const done = tree(root);
    const copyInto: SystemWriter['copyInto'] = (from, to) => {
      if (to === '/etc/fstab') throw new SystemError('/etc/fstab: operation not permitted', 'EPERM');
      writer.copyInto(from, to);
    };
    const { code, stdout } = await prepare({ undo: true }, { ...writer, copyInto });
    assert.is(code, 1);
    assert.match(stdout, 'not restored: /etc/fstab: operation not permitted');
    assert.not.match(stdout, 'kept, because');
    assert.equal(
      edited.map((file) => tree(root)[file]),
      [done['etc/fstab'], before['etc/mtab'], before['etc/resolv.conf']],
    );
    assert.is(actionLog().length, 2);
    assert.is((await prepare({ undo: true })).code, 0);
    assert.is(tree(root)['etc/fstab'], before['etc/fstab']);
  }),
);
undoing('what it restores in /boot is on the disk for the boot loader, too', async () => {
  const guest = ordinaryGuest();
  guest.files['boot/grub2/grub.cfg'] =
    'linux16 /vmlinuz-3.10.0 root=/dev/mapper/rhel-root ro resume=/dev/y\n';
  await withBox(guest, async ({ read, writer, prepare }) => {
    const ran: string[] = [];
    const run: SystemWriter['run'] = (program, args, ...rest) => {
      if (args.some((word) => word.includes('fsfreeze')))
        ran.push(read('boot/grub2/grub.cfg').includes('resume=') ? 'restored' : 'changed');
      return writer.run(program, args, ...rest);
    };
    await prepare({ apply: true, yes: true, only: ['mtab'] }, { ...writer, run });
    await prepare({ undo: true }, { ...writer, run });
    assert.equal(ran, []);
    await prepare({ apply: true, yes: true, only: ['boot'] }, { ...writer, run });
    assert.is((await prepare({ undo: true }, { ...writer, run })).code, 0);
    assert.equal(ran, ['changed', 'restored']);
  });
});
/** Undoes logged actions of the step `home`, one of which wrote /etc/fstab. */
const undoLogged = (
  actions: readonly object[],
  check: (said: Said, box: Box, before: ReturnType<typeof tree>) => void,
) =>
  withBox(ordinaryGuest(), async (box) => {
    const { at, prepare } = box;
    const backup = '/var/lib/immutafs/backup/etc-fstab.1';
    fs.mkdirSync(path.dirname(at(backup)), { recursive: true });
    fs.writeFileSync(at(backup), 'old\n');
    fs.writeFileSync(at('etc/fstab'), 'new\n');
    const entries = actions.map((action, index) => ({
      ...{ number: index + 1, step: 'home', action, began: '2026-01-01T00:00:00.000Z', ended: null },
      ...{ problem: null, backup: 'file' in action ? backup : null },
    }));
    fs.writeFileSync(at('var/lib/immutafs/prepare.json'), JSON.stringify({ schema: 1, entries }));
    const before = tree(box.root);
    check(await prepare({ undo: true }), box, before);
  });
const cutover = [
  { do: 'partition-home', disk: '/dev/vdb', wipe: false },
  { do: 'edit', file: '/etc/fstab', before: 'old\n', after: 'new\n' },
  // Of an earlier version.
  { do: 'clear-home-marker', disk: '/dev/vdb' },
];
undoing('restores fstab, and says what stays', () =>
  undoLogged(cutover, ({ code, stdout }, { read, actionLog }) => {
    assert.is(code, 0, stdout);
    assert.is(read('etc/fstab'), 'old\n');
    assert.match(stdout, 'not undone: the partition on /dev/vdb');
    assert.equal(actionLog(), []);
  }),
);
undoing('restores bytes that are not UTF-8', () => {
  const guest = ordinaryGuest();
  guest.files['etc/fstab'] = `# caf\xe9 \xc3\xa9 \x80\n/dev/mapper/rhel-root / xfs defaults 0 0\n`;
  return withBox(guest, async ({ root, read, prepare }) => {
    const before = tree(root);
    assert.is((await prepare({ apply: true, yes: true })).code, 0);
    assert.match(read('etc/fstab'), /^# caf\xe9 \xc3\xa9 \x80\n/);
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
const keys = ({ at }: Box) => fs.readdirSync(at('etc/ssh')).sort();

/** Carries out the step `etc` with a stub for `ssh-keygen -A`, which keeps existing keys. */
async function applyEtc({ at, writer, prepare }: Box): Promise<void> {
  const run: Box['writer']['run'] = (program, ...rest) => {
    if (program !== '/usr/bin/ssh-keygen') return writer.run(program, ...rest);
    // The clock of the fixture does not advance.
    const now = new Date('2026-03-04T05:06:07Z');
    for (const name of names) {
      fs.writeFileSync(at(`etc/ssh/${name}`), 'new');
      fs.utimesSync(at(`etc/ssh/${name}`), now, now);
    }
    return Promise.resolve({ exit: 0, stdout: '', stderr: '', late: false });
  };
  const { code, stdout } = await prepare({ apply: true, yes: true, only: ['etc'] }, { ...writer, run });
  assert.is(code, 0, stdout);
}

const made = suite('--undo: files that a program created');
made('--undo removes new host keys and keeps the old one', () =>
  withBox(guestWithoutKeys(), async (box) => {
    await applyEtc(box);
    assert.equal(keys(box), [...names, 'ssh_host_rsa_key']);
    const undone = await box.prepare({ undo: true });
    assert.is(undone.code, 0, undone.stdout);
    assert.equal(keys(box), ['ssh_host_rsa_key']);
    assert.equal(box.actionLog(), []);
  }),
);

made('a file that was changed since stays, is named, and remains in the action log', () =>
  withBox(guestWithoutKeys(), async (box) => {
    await applyEtc(box);
    const later = new Date('2027-01-01T00:00:00Z');
    fs.utimesSync(box.at('etc/ssh/ssh_host_ecdsa_key'), later, later);
    const { code, stdout } = await box.prepare({ undo: true });
    assert.is(code, 1);
    assert.match(stdout, '/etc/ssh/ssh_host_ecdsa_key: kept, because');
    assert.equal(keys(box), ['ssh_host_ecdsa_key', 'ssh_host_rsa_key']);
    assert.equal(
      box.actionLog().map(({ action }) => action.do === 'run' && action.program),
      ['/usr/bin/ssh-keygen'],
    );
  }),
);
made.run();
