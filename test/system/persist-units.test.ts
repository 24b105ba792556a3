import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { generatorScripts } from '../harness/generator.ts';
import { runInSandbox } from '../shell/sandbox.ts';

const units = path.join(import.meta.dirname, '../../units');

/** Units that require a kept path early in the boot. Each writes what it finds there, and the options of the mount. */
const users = ['/srv/keys', '/srv/link', '/srv/keys/in'].map(
  (target, index) => `cat >/etc/systemd/system/user-${index}.service <<'END'
[Unit]
DefaultDependencies=no
RequiresMountsFor=${target}
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'cat ${target}/file; findmnt -n -o OPTIONS ${target} || true'
StandardOutput=file:/result/user-${index}
END`,
);

const states = (names: string) =>
  `for unit in ${names}; do echo "$unit $(systemctl show -p ActiveState --value "$unit")"; done`;
const persistUnits = states(
  'srv-keys.mount srv-link.mount srv-keys-in.mount immutafs-persist@srv-keys.service immutafs-persist@srv-link.service local-fs.target',
);

/**
 * Boots the systemd of this machine with the generator as PID 1 of a namespace, until test.target. /srv is on a
 * read-only disk.
 * @param data whether the data disk is mounted at /data
 * @returns the files in /result
 */
function bootSystemd(data: boolean, lines: string): Record<string, string> {
  const { out, stderr } = runInSandbox({
    shell: ['dash'],
    devices: [
      { name: 'vda', device: '252:0', bus: 'virtio-blk', offered: true },
      { name: 'vdb', device: '252:16', bus: 'virtio-blk' },
    ],
    files: {
      'etc/fstab': 'UUID=7 /data ext4 nosuid,nodev,nofail,x-systemd.device-timeout=2s 0 0\n',
      'etc/immutafs/immutafs.conf':
        'PERSIST=/srv/keys/in:exec /srv/keys /srv/link\nPERSIST_STORE=/data/store\n',
      'run/immutafs/boot.env': 'MODE=maintenance\nREASON=x\nDISKS=vda:1:virtio-feature\nVAR=disk\n',
      'content/keys/file': 'disk\n',
      'content/keys/in/file': 'inner\n',
    },
    scripts: [
      ...generatorScripts,
      ...['immutafs-persist.service', 'immutafs-persist@.service'].map((unit) => path.join(units, unit)),
    ],
    run: `
set -e
mkdir -p /data /srv /result /var /etc/systemd/system; mount --bind /out /result
ln -s keys /content/link
truncate -s 16m /srv.img /data.img; mkfs.ext4 -q -d /content /srv.img; mkfs.ext4 -q /data.img
mount -t sysfs sys /sys
mount -o loop /srv.img /srv
${data ? 'mount -o loop,nosuid,nodev /data.img /data' : ''}
umount /sys
ln -s "$(readlink /sys/dev/block/252:0)" "/sys/dev/block/$(mountpoint -d /srv)"
${data ? 'ln -s "$(readlink /sys/dev/block/252:16)" "/sys/dev/block/$(mountpoint -d /data)"' : ''}
# systemd leaves a mounted /sys alone.
mount --bind /sys /sys; mkdir -p /sys/fs/cgroup; mount -t cgroup2 cgroup /sys/fs/cgroup
cp /usr/libexec/immutafs/immutafs-persist*.service /usr/lib/systemd/system/
rm -f /usr/lib/systemd/system-generators/*
cp /usr/libexec/immutafs/immutafs-generator /usr/lib/systemd/system-generators/immutafs-generator
${users.join('\n')}
cat >/etc/systemd/system/last.service <<'END'
[Unit]
DefaultDependencies=no
After=local-fs.target user-0.service user-1.service user-2.service
[Service]
Type=oneshot
ExecStart=/bin/bash /last
END
cat >/last <<'END'
{ ${persistUnits}; } >/result/states
cat /run/immutafs/persisted/srv=link >/result/link
{
:
${lines}
} >/result/lines 2>&1
systemctl poweroff --force --force
END
printf '%s\\n' '[Unit]' DefaultDependencies=no Requires=local-fs.target 'Wants=last.service user-0.service user-1.service user-2.service' >/etc/systemd/system/test.target
# Ends the namespace in any case: in a PID namespace, the kernel kills its processes instead (reboot(2)).
(sleep 50; systemctl poweroff --force --force) &
exec env container=test /usr/lib/systemd/systemd --unit=test.target --log-target=console
`,
  });
  if (out['states'] === undefined) throw new Error(stderr);
  return out;
}

const persist = suite('the units of PERSIST in systemd');

persist('units wait for the paths that they require, whatever becomes of another path', () => {
  const out = bootSystemd(
    true,
    `systemctl restart srv-keys.mount; sleep 1; findmnt -n -o SOURCE /srv/keys; ${states('srv-keys.mount immutafs-persist@srv-keys.service')}`,
  );
  assert.match(out['user-0'] ?? '', /^disk\nrw,nosuid,nodev,noexec/);
  assert.match(out['user-2'] ?? '', /^inner\nrw,nosuid,nodev,relatime/);
  // The third path is a link to the first one, whose mount its unit does not wait for.
  assert.match(out['user-1'] ?? '', /^disk\n/, 'the unit of the third path has started');
  assert.is(
    out['states'],
    `srv-keys.mount active
srv-link.mount inactive
srv-keys-in.mount active
immutafs-persist@srv-keys.service active
immutafs-persist@srv-link.service failed
local-fs.target active
`,
  );
  assert.match(out['link'] ?? '', 'REASON=/srv/link is a symbolic link');
  assert.match(out['lines'] ?? '', /\[\/store\/srv=keys\]\nsrv-keys.mount active\n/);
});

persist('without the data disk, the boot goes on and the units start', () => {
  const out = bootSystemd(false, 'cat /run/immutafs/persisted/srv=keys');
  assert.equal([out['user-0'], out['user-1'], out['user-2']], ['disk\n', 'disk\n', 'inner\n']);
  assert.is(
    out['states'],
    `srv-keys.mount inactive
srv-link.mount inactive
srv-keys-in.mount inactive
immutafs-persist@srv-keys.service failed
immutafs-persist@srv-link.service failed
local-fs.target active
`,
  );
  assert.match(out['lines'] ?? '', 'REASON=the file system of PERSIST_STORE at /data is not mounted\n');
});

persist.run();
