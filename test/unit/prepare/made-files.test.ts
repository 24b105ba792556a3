/** What a program made is removed by --undo. */
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { SystemWriter } from '../../../agent/system/writer.ts';
import { guestWith } from '../../harness/step-table.ts';
import { type Box, withBox } from '../../harness/prepare-box.ts';

const guest = () =>
  guestWith({
    'usr/sbin/sshd': 'program',
    'usr/bin/ssh-keygen': 'program',
    'usr/lib/systemd/system/sshd-keygen@.service': '',
    'etc/ssh/ssh_host_rsa_key': 'old',
  });
const names = ['ssh_host_ecdsa_key', 'ssh_host_ecdsa_key.pub', 'ssh_host_ed25519_key'];

/** As `ssh-keygen -A`: what is there stays. */
const withKeygen = ({ root, writer }: Box): SystemWriter => ({
  ...writer,
  run: (program, args, ...rest) => {
    if (program !== '/usr/bin/ssh-keygen') return writer.run(program, args, ...rest);
    // The fixture's clock stands still.
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

const made = suite('what a program made');
made('host keys are made, and removed by --undo; the old one stays', () =>
  withBox(guest(), async (box) => {
    const { code, stdout } = await box.prepare({ apply: true, yes: true, only: ['etc'] }, withKeygen(box));
    assert.is(code, 0, stdout);
    assert.equal(keys(box.root), [...names, 'ssh_host_rsa_key']);
    const undone = await box.prepare({ undo: true });
    assert.is(undone.code, 0, undone.stdout);
    assert.equal(keys(box.root), ['ssh_host_rsa_key']);
    assert.equal(box.journal(), []);
  }),
);

made('one that was changed since stays, is named, and is in the journal still', () =>
  withBox(guest(), async (box) => {
    await box.prepare({ apply: true, yes: true, only: ['etc'] }, withKeygen(box));
    const changed = path.join(box.root, 'etc/ssh/ssh_host_ecdsa_key');
    const later = new Date('2027-01-01T00:00:00Z');
    fs.utimesSync(changed, later, later);
    const { code, stdout } = await box.prepare({ undo: true });
    assert.is(code, 1);
    assert.match(stdout, '/etc/ssh/ssh_host_ecdsa_key: changed since');
    assert.equal(keys(box.root), ['ssh_host_ecdsa_key', 'ssh_host_rsa_key']);
    assert.equal(
      box.journal().map(({ action }) => action.do === 'run' && action.program),
      ['/usr/bin/ssh-keygen'],
    );
  }),
);
made.run();
