import { type Mount, parseMountinfo } from '../../agent/facts/mounts/mountinfo.ts';
import { runInSandbox } from '../shell/sandbox.ts';
import type { Shell } from '../shell/shells.ts';

export interface Guest {
  /** By default dash. */
  shell?: Shell;
  mode?: 'sealed' | 'maintenance';
  persist?: string;
  /** Further lines of the configuration, or a different store. */
  config?: string;
  fstab?: string;
  /** Mount options of the data disk at /data; null: the disk is not mounted. */
  data?: string | null;
  dataMiB?: number;
  /** The disk of the data file system in sysfs. */
  dataOn?: 'vda' | 'vdb' | 'vdc' | 'none';
  /** Lines of bash that run in the guest's root before its disk becomes read-only. */
  disk?: string;
  /** Lines of bash that run in the guest before the command, with its mounts. */
  before?: string;
  /**
   * Lines of bash that run in the guest; `keep PATH` and `check PATH` run immutafs-boot. `keep` without a path runs the
   * command of immutafs-persist.service; the services of single paths that it restarts are run and printed to stderr. The
   * file /run/cut stops the program (boot-program-main.ts).
   */
  run: string;
}

export interface Kept {
  stdout: string;
  stderr: string;
  /** The records in /run/immutafs/persisted by name. */
  records: Record<string, string>;
  /** The mounts below / that the lines made: "target root options". */
  made: string[];
}

/**
 * Runs lines of bash in a guest with real mounts: an ext4 root on vda with a directory /var/lib/x, an overlay on /var if
 * it is sealed, and an ext4 on vdb at /data.
 */
export function persist({
  shell = ['dash'],
  mode = 'sealed',
  persist: paths = '/var/lib/x',
  config = 'PERSIST_STORE=/data/store\n',
  fstab = '/dev/vdb1 /data ext4 nosuid,nodev,nofail 0 0\n',
  data = 'nosuid,nodev',
  dataMiB = 16,
  dataOn = 'vdb',
  disk = '',
  before = '',
  run,
}: Guest): Kept {
  const { code, stdout, stderr, out } = runInSandbox({
    shell,
    devices: [
      { name: 'vda', device: '252:0', bus: 'virtio-blk', offered: mode === 'sealed' },
      { name: 'vdb', device: '252:16', bus: 'virtio-blk' },
      { name: 'vdc', device: '252:32', bus: 'virtio-blk', offered: true },
      { name: 'vdd', device: '252:48', bus: 'virtio-blk' },
    ],
    files: {
      'guest/etc/fstab': fstab,
      'guest/etc/immutafs/immutafs.conf': `PERSIST=${paths}\n${config}`,
      'guest/var/lib/x/file': 'disk\n',
    },
    run: `
set -e
cd /guest
mkdir -p bin data dev proc run sys usr tmp var/log; rmdir bin; ln -s usr/bin usr/sbin usr/lib usr/lib64 .
truncate -s 16m /root.img; truncate -s ${dataMiB}m /data.img
mkfs.ext4 -q -m 0 -d /guest /root.img
mkfs.ext4 -q -m 0 /data.img
cd /
# mount(8) needs the real /sys to find a free loop device.
mount -t sysfs sys /sys
mount -o loop /root.img /guest
${data === null ? '' : `mount -o loop,${data} /data.img /guest/data`}
umount /sys
on() { ln -s "$(readlink "/sys/dev/block/$2")" "/sys/dev/block/$(mountpoint -d "$1")"; }
on /guest 252:0
${data === null || dataOn === 'none' ? '' : `on /guest/data ${{ vda: '252:0', vdb: '252:16', vdc: '252:32' }[dataOn]}`}
mount --bind /usr /guest/usr; mount --bind /sys /guest/sys; mount --rbind /dev /guest/dev
mount -t proc proc /guest/proc; mount -t tmpfs run /guest/run
cat >/guest/run/disk <<'END'
set -e
${disk}
END
cat >/guest/run/before <<'END'
set -e
if [ ${mode} = sealed ]; then
  mount -o remount,bind,ro /
  mkdir -p /run/immutafs/lower /run/var
  mount --bind /var /run/immutafs/lower
  mount --make-private /run/immutafs/lower
  mount -o remount,bind,ro,nosuid,nodev,noexec /run/immutafs/lower
  mount -t tmpfs immutafs /run/var
  mkdir -m 755 /run/var/upper /run/var/work
  mount -t overlay -o nosuid,nodev,lowerdir=/run/immutafs/lower,upperdir=/run/var/upper,workdir=/run/var/work immutafs /var
  echo boot >/var/lib/x/of-this-boot
fi
${before}
END
cat >/guest/run/write-unit <<'END'
set -e
out=/run/units record=/run/immutafs/boot.env
mkdir -p "$out" "\${record%/*}"
[ ! -e "$record" ] || cp "$record" /run/boot.env
echo MODE=sealed >"$record"
/usr/libexec/immutafs/immutafs-boot generator "$out"
rm "$record"
[ ! -e /run/boot.env ] || mv /run/boot.env "$record"
sed -n '/^ExecStart=./,/[^\\\\]$/ { s/^ExecStart=//; s/ \\\\$//; p }' "$out/immutafs-persist.service.d/immutafs.conf"
rm -r "$out"
END
cat >/guest/run/lines <<'END'
cat >/usr/bin/systemctl <<'SHIM'
#!/bin/bash
echo "$@" >>/run/systemctl
case $1 in stop) pkill -s "$(cat /run/service)"; sleep 1; exit ;; esac
path=$(systemd-escape --unescape --path "$(echo "$2" | sed 's/^[^@]*@//; s/.service$//')")
setsid sh -c 'echo $$ >/run/service; exec /usr/libexec/immutafs/immutafs-boot persist-path "$1"' sh "$path" &
wait $!
SHIM
chmod +x /usr/bin/systemctl
# Replaces a program of the guest by lines of bash, for which it is $0.real.
replace() { [ -e "/usr/bin/$1.real" ] || mv "/usr/bin/$1" "/usr/bin/$1.real"; printf '#!/bin/bash\n%s\n' "$2" >"/usr/bin/$1"; chmod +x "/usr/bin/$1"; }
keep() {
  if [ $# = 0 ]; then $command; else /usr/libexec/immutafs/immutafs-boot persist-path "$1"; fi
}
command=$(sh /run/write-unit)
check() { /usr/libexec/immutafs/immutafs-boot persist-check "$@"; }
${run}
END
chroot /guest bash /run/disk
chroot /guest bash /run/before
chroot /guest cat /proc/self/mountinfo >/out/mounts-before
set +e
chroot /guest bash /run/lines
chroot /guest cat /proc/self/mountinfo >/out/mounts
[ ! -d /guest/run/immutafs/persisted ] || cp -R /guest/run/immutafs/persisted/. /out/
exit 0
`,
  });
  const before_ = out['mounts-before'];
  const after = out['mounts'];
  if (code !== 0 || before_ === undefined || after === undefined) throw new Error(`${code}: ${stderr}`);
  const known = new Set(parseMountinfo(before_).map(({ id }) => id));
  const records = Object.fromEntries(Object.entries(out).filter(([name]) => !name.startsWith('mounts')));
  return {
    stdout,
    stderr,
    records,
    made: parseMountinfo(after)
      .filter(({ id }) => !known.has(id))
      .map(describe),
  };
}

function describe({ target, root, options }: Mount): string {
  return `${target} ${root} ${options.filter((option) => option !== 'relatime').join(',')}`;
}
