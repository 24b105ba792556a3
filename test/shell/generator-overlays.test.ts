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
  foundMount,
} from './generator.ts';
import { shells } from './shells.ts';

const config = (overlay: string) => ({ 'etc/immutafs/immutafs.conf': `OVERLAY=${overlay}\n` });
const records = (...lines: string[]) => ({
  'run/immutafs/boot.env': `${bootEnv('sealed')}${lines.map((line) => `OVERLAY=${line}\n`).join('')}`,
});
/** The mount unit of a directory that is no mount point in fstab. */
const bind = (name: string, target: string) => foundMount(name, target, 'Before=local-fs.target');
const localFs = (...wants: readonly string[]) =>
  `local-fs.target.d/immutafs.conf: [Unit];${wants.map((each) => `Wants=${each};`).join('')}After=run-var.mount`;

for (const [name, shell] of Object.entries(shells)) {
  const generator = suite(`${name}: generator, OVERLAY`);
  /** Returns what the generator writes. @param lines records of the initramfs */
  const overlays = (value: string, lines: readonly string[], fstab: string, before = tmpfsAtVar) =>
    generate(shell, { ...config(value), ...records(...lines), 'etc/fstab': fstab }, before).written;

  generator('a file system of fstab: the service runs before its mount', () => {
    const written = overlays(
      '/opt:noexec',
      ['/opt deferred'],
      'UUID=1 / xfs ro 0 0\n/dev/vdx1 /opt xfs ro 0 0\n/dev/vdx2 /srv xfs ro 0 0\n',
    );
    same(written, [
      service('opt', device('dev-vdx1.device')),
      mount('opt'),
      service('srv', device('dev-vdx2.device'), 'mount'),
      mount('srv', 'mount'),
      ...runVar,
    ]);
  });

  generator('a directory below it: a unit for which others wait, after the mount above it', () => {
    const written = overlays(
      '/opt/my-agent /opt',
      ['/opt deferred', '/opt/my-agent deferred', '/opt begun', '/opt overlay'],
      '/dev/vdx1 /opt xfs ro 0 0\n',
    );
    same(written, [
      service('opt', device('dev-vdx1.device')),
      mount('opt'),
      service('opt-my\\x2dagent', ';RequiresMountsFor=/opt'),
      mount('opt-my\\x2dagent'),
      bind('opt-my\\x2dagent', '/opt/my-agent'),
      runVar[0] ?? '',
      localFs('opt-my\\x2dagent.mount', 'immutafs-var@opt-my\\x2dagent.service'),
    ]);
  });

  generator('an automount of OVERLAY is mounted at boot', () => {
    const written = overlays(
      '/opt',
      ['/opt deferred'],
      '/dev/vdx1 /opt xfs noauto,x-systemd.automount 0 0\n',
    );
    assert.ok(
      written.includes('opt.automount.d/immutafs.conf: [Unit];ConditionPathExists=!/'),
      written.join('\n'),
    );
  });

  generator('an overlay of the initramfs is kept at shutdown; paths without one get no units', () => {
    const written = overlays(
      '/root /srv /usr /opt',
      ['/root overlay', '/srv missing it does not exist', '/usr refused why', '/opt unneeded why'],
      '',
      `${overlayAtVar.replaceAll('/var', '/root')}
      mkdir -p /var /run/immutafs/root; mount -t tmpfs x /var; mount -t tmpfs -o nodev x /run/immutafs/root`,
    );
    same(written, kept(['/run/var', '/root', '/run/immutafs/root']));
  });

  generator('without a record of the initramfs: each path that can get an overlay', () => {
    const written = overlays(
      '/srv/x /usr /net/a /opt /noauto',
      [],
      '/dev/vdx1 /opt xfs ro 0 0\nserver:/x /net nfs defaults 0 0\n/dev/vdx1 /noauto xfs noauto 0 0\n',
    );
    same(written, [
      service('opt', device('dev-vdx1.device')),
      mount('opt'),
      service('srv-x', ';RequiresMountsFor=/srv'),
      mount('srv-x'),
      bind('srv-x', '/srv/x'),
      runVar[0] ?? '',
      localFs('srv-x.mount', 'immutafs-var@srv-x.service'),
    ]);
  });

  generator('in maintenance: nothing', () => {
    const { written } = generate(shell, {
      ...config('/opt /root'),
      'run/immutafs/boot.env': bootEnv('maintenance'),
      'etc/fstab': '/dev/vdx1 /opt xfs defaults 0 0\n',
    });
    same(written, []);
  });
  generator.run();
}
