/** A path of OVERLAY that gets no overlay in the initramfs. */
export interface Obstacle {
  target: string;
  /** The state and the reason in boot.env. */
  record: string;
  /** Lines of bash that make the obstacle. */
  lines?: string;
  /** A line of fstab. */
  fstab?: string;
}

const units = '/sysroot/etc/systemd/system';
const overlayAt = (
  target: string,
) => `mkdir -p ${target} /layers; mount -t tmpfs x /layers; mkdir /layers/{lower,upper,work}
  mount -t overlay -o lowerdir=/layers/lower,upperdir=/layers/upper,workdir=/layers/work x ${target}`;
const missing = 'missing it does not exist';

/** One for each reason. */
export const obstacles: readonly Obstacle[] = [
  { target: '/missing', record: missing },
  {
    target: '/link',
    lines: 'ln -s opt /sysroot/link',
    record: 'failed /link is a symbolic link: name the directory that it points to',
  },
  {
    target: '/above/agent',
    lines: 'ln -s /opt /sysroot/above',
    record: 'failed /above is a symbolic link: name the directory that it points to',
  },
  {
    target: '/dangling',
    lines: 'ln -s /nowhere /sysroot/dangling',
    record: 'failed /dangling is a symbolic link: name the directory that it points to',
  },
  { target: '/file', lines: ': >/sysroot/file', record: 'failed it is not a directory' },
  {
    target: '/covering',
    lines: 'mkdir -p /sysroot/covering/x; mount -t tmpfs x /sysroot/covering/x',
    record: 'failed a file system is mounted below it, which an overlay would hide',
  },
  {
    target: '/other',
    lines: overlayAt('/sysroot/other'),
    record: 'failed another program has mounted an overlay there',
  },
  { target: '/disk', fstab: 'UUID=1 //disk/ xfs ro 0 0', record: 'deferred' },
  { target: '/disk2/a/b', fstab: 'UUID=1 /disk2/a xfs ro 0 0', record: 'deferred' },
  { target: '/disk3', fstab: 'UUID=1 /disk34 xfs ro 0 0', record: missing },
  {
    target: '/early/x',
    lines: 'mkdir -p /sysroot/early; mount -t tmpfs x /sysroot/early',
    record: 'deferred',
  },
  { target: '/auto', fstab: 'UUID=1 /auto xfs noauto,x-systemd.automount 0 0', record: 'deferred' },
  {
    target: '/noauto',
    fstab: 'UUID=1 /noauto xfs noauto 0 0',
    record: 'failed /etc/fstab does not mount /noauto at boot (noauto)',
  },
  { target: '/ram', fstab: 'tmpfs /ram tmpfs size=1m 0 0', record: 'unneeded /ram is in RAM (tmpfs)' },
  {
    target: '/net/x',
    fstab: 'server:/x /net nfs4 defaults 0 0',
    record: 'unneeded /net is nfs4 (server:/x), which is not on the system disk',
  },
  {
    target: '/iscsi',
    fstab: 'UUID=1 /iscsi xfs _netdev 0 0',
    record: 'unneeded /iscsi is on a disk of the network (UUID=1)',
  },
  {
    target: '/bind',
    fstab: '/data /bind none bind 0 0',
    record: 'failed /bind is a bind mount in /etc/fstab: name the directory /data',
  },
  {
    target: '/a-b/c/d',
    lines: `mkdir -p ${units}; echo "[Mount]" >"${units}/a\\x2db-c.mount"`,
    record: 'failed a\\x2db-c.mount mounts a file system on /a-b/c: write the mount as a line in /etc/fstab',
  },
  { target: '/masked', lines: `ln -s /dev/null ${units}/masked.mount`, record: missing },
  {
    target: '/tmp',
    lines: `mkdir -p /sysroot/tmp /sysroot/usr/lib/systemd/system/local-fs.target.wants
      ln -s ../tmp.mount /sysroot/usr/lib/systemd/system/local-fs.target.wants/tmp.mount`,
    record: 'unneeded tmp.mount mounts a tmpfs on /tmp, which is in RAM',
  },
];
