import { suite } from 'uvu';
import { bootEnv, foundMount, generate, runVar, same, tmpfsAtVar } from './generator.ts';
import { shells } from './shells.ts';

const found = (name: string, path: string) =>
  foundMount(
    name,
    path,
    'Wants=immutafs-scratch.service;After=immutafs-scratch.service;Before=local-fs.target',
  );
const device = String.raw`dev-disk-by\x2did-virtio\x2dscratch.device`;

for (const [name, shell] of Object.entries(shells)) {
  const generator = suite(`${name}: generator: SCRATCH`);
  const units = (mode: string, scratch: string, link = '/dev/disk/by-id/virtio-scratch') =>
    generate(
      shell,
      {
        'run/immutafs/boot.env': bootEnv(mode),
        'etc/immutafs/immutafs.conf': `SCRATCH=${scratch}\nSCRATCH_DEVICE=${link}\n`,
      },
      tmpfsAtVar,
    ).written.filter((line) => !runVar.slice(0, 1).includes(line));
  const localFs =
    'local-fs.target.d/immutafs.conf: [Unit];Wants=immutafs-scratch.service;After=run-var.mount';

  generator('a sealed boot: a mount unit for each path, and a limit for the device', () => {
    same(units('sealed', '/var/cache/x /srv/store:empty /var/cache/x:copy /etc'), [
      found('var-cache-x', '/var/cache/x'),
      found('srv-store', '/srv/store'),
      'immutafs-scratch.service.d/immutafs.conf: [Unit];After=var.mount;After=var-cache.mount;After=srv.mount;Before=var-cache-x.mount;Before=srv-store.mount',
      `immutafs-scratch-device.service.d/immutafs.conf: [Unit];Wants=${device};After=${device}`,
      `${device}.d/immutafs.conf: [Unit];JobTimeoutSec=30`,
      'multi-user.target.d/immutafs.conf: [Unit];Wants=immutafs-scratch-trim.service',
      ...['poweroff', 'reboot', 'halt', 'kexec'].map(
        (target) => `${target}.target.d/immutafs.conf: [Unit];Wants=immutafs-scratch-discard.service`,
      ),
      foundMount(
        String.raw`run-immutafs-scratch\x2ddisk`,
        '/run/immutafs/scratch-disk',
        'DefaultDependencies=no;RefuseManualStop=yes',
      ),
      String.raw`${localFs};After=run-immutafs-scratch\x2ddisk.mount`,
    ]);
  });
  generator('without a device, the paths are in memory, and nothing is waited for', () => {
    same(units('sealed', '/srv/store', ''), [
      found('srv-store', '/srv/store'),
      'immutafs-scratch.service.d/immutafs.conf: [Unit];After=srv.mount;Before=srv-store.mount',
      localFs,
    ]);
  });
  for (const mode of ['maintenance', 'off']) {
    generator(`${mode}: nothing`, () => same(units(mode, '/srv/store'), []));
  }
  generator.run();
}
