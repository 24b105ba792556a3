import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Change, all, config, edit, file, mount, scratchDisk } from '../../harness/changes.ts';
import { testChanges, testFindings } from '../../harness/finding.ts';
import { goodGuest, evaluateFixture } from '../../harness/guest.ts';

testChanges('footholds', {
  'an executable file system on a disk': [
    mount('srv', '252:16 /srv /srv rw,relatime - xfs /dev/vdb rw'),
    {
      footholds: 'warn: /srv: xfs, writable, executable, outlives a reboot',
      'persistent-mounts': 'fail: /srv is xfs (/dev/vdb): neither /etc/fstab nor DATA names it',
    },
  ],
  'an executable file system of a server': [
    mount('srv', '0:60 / /srv rw,relatime - nfs4 server:/x rw'),
    { footholds: 'warn', 'persistent-mounts': 'fail' },
  ],
  'an overlay whose upper layer is on a disk': [
    mount('c', '0:60 / /mnt rw - overlay overlay rw,lowerdir=/x,upperdir=/home/u,workdir=/home/w'),
    { footholds: 'warn', 'persistent-mounts': 'fail' },
  ],
  'an overlay whose upper layer is in memory': [
    mount('c', '0:60 / /mnt rw - overlay overlay rw,lowerdir=/x,upperdir=/var/u,workdir=/var/w'),
    {},
  ],
});

testFindings('footholds', {
  'an executable data disk': [edit('home', 'noexec,', ''), 'warn: /home: xfs, writable, executable'],
  'a tmpfs that is executable does not outlive a reboot': [edit('tmp', 'noexec,', ''), 'pass'],
});

const report = suite('the list of footholds');
for (const below of ['vdb', 'vdc']) {
  const outlives = below === 'vdc';
  report(
    `a mapping with the name of that of SCRATCH on ${below} ${outlives ? 'outlives' : 'does not outlive'} a reboot`,
    async () => {
      const guest = goodGuest();
      guest.devices.push({ name: 'vdc', device: '252:32', bus: 'virtio-blk' });
      scratchDisk(below)(guest);
      config('SCRATCH=/srv/store\nSCRATCH_DEVICE=/dev/disk/by-id/virtio-s\n')(guest);
      const { footholds } = await evaluateFixture(guest);
      const device = '/dev/disk/by-id/virtio-s';
      const found = footholds.filter(({ target }) => [device, '/run/immutafs/scratch-disk'].includes(target));
      // Below the encryption, the device of SCRATCH keeps what root writes to it.
      assert.equal(
        found.map(({ target, persistent, executable }) => [target, persistent, executable]),
        [[outlives ? '/run/immutafs/scratch-disk' : device, true, false]],
      );
    },
  );
}
report('a read-write mount of a read-only file system is not listed', async () => {
  const guest = goodGuest();
  all(edit('home', 'rw,noexec,', 'rw,'), edit('home', / rw,seclabel/, ' ro,seclabel'))(guest);
  const { footholds } = await evaluateFixture(guest);
  assert.not.ok(footholds.some(({ target }) => target === '/home'));
});
report('without SCRATCH, no device is listed', async () => {
  const { footholds } = await evaluateFixture(goodGuest());
  assert.equal(
    footholds.filter(({ target }) => target.startsWith('/dev/disk/')),
    [],
  );
});
report.run();

/** Adds the user alice, whose home directory has the given files and a copy of /etc/skel. */
function users(files: Record<string, string>): Change {
  return all(
    file('etc/passwd', 'root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000::/home/alice:/bin/bash\n'),
    file('etc/skel/.bashrc', 'usual\n'),
    file('home/alice/.bashrc', 'usual\n'),
    ...Object.entries(files).map(([name, text]) => file(`home/alice/${name}`, text)),
  );
}

testFindings('footholds: users', {
  'users with unchanged files of /etc/skel': [users({}), /^pass: .*both: 0$/],
  'start-up files of a login are named': [
    users({ '.bashrc': 'evil', '.ssh/authorized_keys': 'ssh-ed25519 AAAA' }),
    /^pass: .*user start-up files: alice \(\.bashrc \.ssh\/authorized_keys\)$/,
  ],
  'units that need a login': [users({ '.config/systemd/user/x.service': '' }), 'pass: alice (units)'],
  'units of a lingering user': [
    all(users({ '.config/systemd/user/x.service': '' }), file('var/lib/systemd/linger/alice', '')),
    'warn: /home/alice: units of the lingering user alice start at boot',
  ],
  'a user who cannot log in': [
    all(users({ '.bashrc': 'evil' }), file('etc/passwd', 'alice:x:1000:1000::/home/alice:/sbin/nologin\n')),
    /^pass: .*both: 0$/,
  ],
  'a link in the place of a directory is not followed': [
    all(users({}), file('home/alice/.config', { linkTo: '/etc' }), file('etc/systemd/user/x.service', 'x')),
    /^pass: .*both: 0$/,
  ],
  'a home directory in memory': [
    users({ '.bashrc': 'evil' }),
    edit('home', /^.*$/, '0:70 / /home rw,noexec,nosuid,nodev - tmpfs x rw'),
    /^pass: .*both: 0$/,
  ],
});
