import { execFileSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  bootEnv,
  device,
  generate,
  kept,
  mount,
  overlayAtVar,
  runVar,
  same,
  service,
  tmpfsAtVar,
} from './generator.ts';
import { shells } from './shells.ts';

for (const [name, shell] of Object.entries(shells)) {
  const generator = suite(`${name}: generator`);

  for (const mode of ['maintenance', 'off']) {
    generator(`no files in mode ${mode}`, () => {
      const files = { 'run/immutafs/boot.env': bootEnv(mode), 'etc/fstab': '/dev/vdb1 /var xfs x 0 0\n' };
      assert.equal(generate(shell, files), { code: 0, written: [] });
    });
  }

  for (const [disks, line] of [
    ['vda:0:none', 'ExecStartPost=/bin/mount -o remount,rw /'],
    ['vda:1:flag', undefined],
  ] as const) {
    generator(
      `maintenance with ${disks}: \`ro\` file systems ${line ? 'become writable' : 'stay read-only'}`,
      () => {
        const { written } = generate(shell, {
          'run/immutafs/boot.env': `MODE=maintenance\nDISKS=${disks}\n`,
          'etc/fstab': [
            'UUID=1 / xfs defaults,ro 0 0',
            'UUID=2 /boot ext4 nosuid,ro,nodev 0 0',
            'UUID=3 /home xfs defaults 0 0',
            '/dev/sr0 /media iso9660 ro 0 0',
            '',
          ].join('\n'),
        });
        const expected = [
          'boot.mount.d/immutafs.conf: [Mount];Options=nosuid,rw,nodev',
          `systemd-remount-fs.service.d/immutafs.conf: [Service];${line ?? ''}`,
        ];
        assert.equal(written, line === undefined ? [] : expected);
      },
    );
  }

  for (const [title, before, files] of [
    ['/.autorelabel', `${tmpfsAtVar}; touch /.autorelabel`, {}],
    ['the kernel argument', tmpfsAtVar, { 'proc/cmdline': 'ro autorelabel=1\n' }],
  ] as const) {
    generator(`${title}: a sealed boot skips relabelling and continues, maintenance relabels`, () => {
      const nothing = '[Service];ExecStart=;ExecStart=/bin/true;StandardInput=null';
      const written = (mode: string) =>
        generate(shell, { 'run/immutafs/boot.env': bootEnv(mode), ...files }, before).written;
      same(written('sealed'), [
        `rhel-autorelabel.service.d/immutafs.conf: ${nothing}`,
        ...runVar,
        `selinux-autorelabel.service.d/immutafs.conf: ${nothing}`,
        'selinux-autorelabel.target.d/immutafs.conf: [Unit];Wants=multi-user.target',
      ]);
      assert.equal(written('maintenance'), []);
    });
  }

  generator('the mounts of the initramfs stay through a soft reboot', () => {
    const files = { 'run/immutafs/boot.env': bootEnv('sealed') };
    const { written } = generate(shell, files, overlayAtVar);
    same(written, kept(['/run/var', '/var', '/run/immutafs/lower']));
    same(generate(shell, files, tmpfsAtVar).written, runVar);
    const withLine = { ...files, 'etc/fstab': '/dev/vdb1 /var xfs ro 0 0\n' };
    same(generate(shell, withLine, overlayAtVar).written, [
      ...runVar,
      service('var', device('dev-vdb1.device')),
      mount('var'),
    ]);
  });

  generator('in a sealed boot, a stop of blk-availability.service does not unmount the lower layers', () => {
    const unit = { 'usr/lib/systemd/system/blk-availability.service': '[Service]\nExecStart=/bin/true\n' };
    const written = (mode: string, files: Record<string, string>) =>
      generate(shell, { 'run/immutafs/boot.env': bootEnv(mode), ...files }, tmpfsAtVar).written;
    const stop = 'ExecStop=/usr/sbin/blkdeactivate -l wholevg -m disablequeueing';
    same(written('sealed', unit), [
      ...runVar,
      `blk-availability.service.d/immutafs.conf: [Service];ExecStop=;${stop}`,
    ]);
    same(written('sealed', {}), runVar);
    assert.equal(written('maintenance', unit), []);
  });

  generator('the bound configuration of LVM stays mounted at shutdown', () => {
    const files = { 'run/immutafs/boot.env': bootEnv('sealed'), 'etc/lvm/lvmlocal.conf': '' };
    const bind = 'mount --bind /etc/lvm/lvmlocal.conf /etc/lvm/lvmlocal.conf';
    const { written } = generate(shell, files, `${tmpfsAtVar}; ${bind}`);
    same(written, kept(['/run/var', '/etc/lvm/lvmlocal.conf']));
    same(generate(shell, files, tmpfsAtVar).written, runVar);
  });

  generator('names of units are as systemd-escape(1) makes them', () => {
    const targets = [
      '/a-b/c_d',
      '/a.b/.c',
      '/x:y',
      '/--',
      '/\xc3\xa4/b',
      '/a/b-',
      '/A9/-b/c-d-e',
      '/q\\040r',
      '/_',
      '/a+b@c',
      '/.hidden/d',
    ];
    const { written } = generate(
      shell,
      {
        'run/immutafs/boot.env': bootEnv('sealed'),
        'etc/fstab': targets.map((target) => `/dev/vdb1 ${target} ext4 defaults 0 0\n`).join(''),
      },
      tmpfsAtVar,
    );
    const expected = targets.map((target) => {
      const name = Buffer.from(target.replace('\\040', ' '), 'latin1').toString('utf8');
      return execFileSync('systemd-escape', ['--path', name], { encoding: 'utf8' }).trimEnd();
    });
    const got = written
      .filter((line) => !runVar.includes(line))
      .flatMap((line) => /^(.*)\.mount\.d\//.exec(line)?.[1] ?? []);
    assert.equal(got.sort(), expected.sort());
  });
  generator.run();
}
