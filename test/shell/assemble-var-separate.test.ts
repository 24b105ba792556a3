import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assembled, boot, config, env, machineMounts, small } from './assemble-var.ts';
import { shells } from './shells.ts';

const mountsBefore = machineMounts();

for (const [name, shell] of Object.entries(shells)) {
  const separate = suite(`${name}: a separate /var is left to late boot`);
  for (const [title, fstab, deferred] of [
    ['by device', '/dev/mapper/rhel-var /var xfs defaults 0 0\n', true],
    ['by UUID, among others', '# x\nUUID=1 / xfs ro 0 0\n\nUUID=2\t/var\txfs\tdefaults 0 0\n', true],
    ['in a last line without a newline', 'UUID=1 / xfs ro 0 0\nUUID=2 /var xfs defaults 0 0', true],
    ['with a slash at the end', 'LABEL=var /var/ ext4 defaults 0 0\n', true],
    ['over the network', 'server:/x /var nfs defaults 0 0\n', true],
    ['with two slashes', '/dev/vdb1 //var xfs defaults 0 0\n', true],
    ['/variable only', '/dev/vdb1 /variable xfs defaults 0 0\n', false],
    ['/var/log only', '/dev/vdb1 /var/log xfs defaults 0 0\n', false],
    ['a comment', '#/dev/vdb1 /var xfs defaults 0 0\n', false],
    ['no fstab', undefined, false],
  ] as const) {
    separate(title, () => {
      const { made, bootEnv } = boot({
        shell,
        files: { ...config(small), ...(fstab === undefined ? {} : { 'sysroot/etc/fstab': fstab }) },
        before: fstab === undefined ? 'rm /sysroot/etc/fstab' : '',
      });
      assert.equal(made, deferred ? [] : assembled);
      assert.equal(bootEnv, env({ VAR: deferred ? 'deferred' : 'overlay' }));
    });
  }

  const unit = 'sysroot/etc/systemd/system/var.mount';
  for (const [title, file, own] of [
    ['a mount unit', '[Mount]\n', false],
    ['a mount unit that is a link', { linkTo: '/usr/lib/systemd/system/other.mount' }, false],
    ['a mount unit that is masked', { linkTo: '/dev/null' }, true],
    ['a mount unit that is masked by being empty', '', true],
  ] as const) {
    separate(title, () => {
      const line = own ? '/dev/mapper/rhel-var /var xfs defaults 0 0\n' : '';
      const { made, bootEnv } = boot({
        shell,
        files: { ...config(small), [unit]: file, 'sysroot/etc/fstab': line },
      });
      assert.equal(made, own ? assembled : []);
      assert.equal(bootEnv, env({ VAR: own ? 'overlay' : 'deferred' }));
    });
  }
  separate.run();
}

const leaks = suite('no mount remains on this machine');
leaks('mounts', () => assert.equal(machineMounts(), mountsBefore));
leaks.run();
