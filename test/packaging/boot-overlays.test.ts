import fs from 'node:fs';
import path from 'node:path';
import * as assert from 'uvu/assert';
import { assembled, bootIn, config, env, nothingLeft, small } from '../shell/initramfs.ts';
import { noModules } from '../shell/late-boot.ts';
import { inNamespace, mountOverlay } from '../shell/shells.ts';

const view = '/run/immutafs/root ext4 ro';
const overlayOn = (target: string, options = 'nosuid,nodev', name = target.slice(1).replaceAll('/', '+')) =>
  `/sysroot${target} overlay rw${options === '' ? '' : `,${options}`} lowerdir=/run/immutafs/root${target},upperdir=/run/var/below/${name}/upper,workdir=/run/var/below/${name}/work`;
const overlays = (text: string) => config(`${small}OVERLAY=${text}\n`);
const tree = { 'sysroot/root/x': 'disk\n', 'sysroot/opt/x': 'disk\n', 'sysroot/opt/agent/x': 'disk\n' };
const records = (bootEnv: readonly string[]) => bootEnv.filter((line) => line.startsWith('OVERLAY='));

/** The paths that can never get an overlay, with the reasons that the agent also gives. */
const refused = JSON.parse(
  fs.readFileSync(path.join(import.meta.dirname, '../fixtures/config/refused-overlays.json'), 'utf8'),
) as Record<string, string>;

const units = '/sysroot/etc/systemd/system';
const link = (name: string) => `failed ${name} is a symbolic link: name the directory that it points to`;
const missing = 'missing it does not exist';
/** Paths that get no overlay in the initramfs, with the record in boot.env, and lines of bash or of fstab for the obstacle. */
const obstacles: readonly (readonly [string, string, string?, string?])[] = [
  ['/missing', missing],
  ['/link', link('/link'), 'ln -s opt /sysroot/link'],
  ['/above/agent', link('/above'), 'ln -s /opt /sysroot/above'],
  ['/dangling', link('/dangling'), 'ln -s /nowhere /sysroot/dangling'],
  ['/file', 'failed it is not a directory', ': >/sysroot/file'],
  [
    '/covering',
    'failed a file system is mounted below it, which an overlay would hide',
    'mkdir -p /sysroot/covering/x; mount -t tmpfs x /sysroot/covering/x',
  ],
  ['/other', 'failed another program has mounted an overlay there', mountOverlay('/sysroot/other')],
  ['/disk', 'deferred', '', 'UUID=1 //disk/ xfs ro'],
  ['/disk2/a/b', 'deferred', '', 'UUID=1 /disk2/a xfs ro'],
  ['/disk3', missing, '', 'UUID=1 /disk34 xfs ro'],
  ['/early/x', 'deferred', 'mkdir -p /sysroot/early; mount -t tmpfs x /sysroot/early'],
  ['/auto', 'deferred', '', 'UUID=1 /auto xfs noauto,x-systemd.automount'],
  ['/noauto', 'failed /etc/fstab does not mount /noauto at boot (noauto)', '', 'UUID=1 /noauto xfs noauto'],
  ['/ram', 'unneeded /ram is in RAM (tmpfs)', '', 'tmpfs /ram tmpfs size=1m'],
  [
    '/net/x',
    'unneeded /net is nfs4 (server:/x), which is not on the system disk',
    '',
    'server:/x /net nfs4 defaults',
  ],
  ['/iscsi', 'unneeded /iscsi is on a disk of the network (UUID=1)', '', 'UUID=1 /iscsi xfs _netdev'],
  [
    '/bind',
    'failed /bind is a bind mount in /etc/fstab: name the directory /data',
    '',
    '/data /bind none bind',
  ],
  [
    '/a-b/c/d',
    'failed a\\x2db-c.mount mounts a file system on /a-b/c: write the mount as a line in /etc/fstab',
    `mkdir -p ${units}; echo "[Mount]" >"${units}/a\\x2db-c.mount"`,
  ],
  ['/masked', missing, `ln -s /dev/null ${units}/masked.mount`],
  [
    '/tmp',
    'unneeded tmp.mount mounts a tmpfs on /tmp, which is in RAM',
    `mkdir -p /sysroot/tmp /sysroot/usr/lib/systemd/system/local-fs.target.wants
      ln -s ../tmp.mount /sysroot/usr/lib/systemd/system/local-fs.target.wants/tmp.mount`,
  ],
];

inNamespace('OVERLAY in the initramfs', (test, shell) => {
  const boot = bootIn(shell);
  test('each directory has its own layers, parents are mounted first, modes and owners are those of the disk', () => {
    const booted = boot({
      files: { ...overlays('/opt/agent:noexec,noatime /root /opt:suid,dev'), ...tree },
      before: 'chmod 2550 /sysroot/root; chown 3:4 /sysroot/opt/agent',
      after: `
        for d in root opt opt/agent; do
          echo new >/sysroot/$d/x && cat /sysroot/$d/x /run/immutafs/root/$d/x
          stat -c '%a %u:%g' /sysroot/$d
        done
        touch /run/immutafs/root/opt/y || echo failed`,
    });
    assert.equal(booted.made, [
      ...assembled,
      view,
      overlayOn('/opt', ''),
      overlayOn('/opt/agent', 'nosuid,nodev,noexec,noatime'),
      overlayOn('/root'),
    ]);
    assert.equal(booted.bootEnv, [
      ...env({}),
      ...['/opt', '/opt/agent', '/root'].map((each) => `OVERLAY=${each} overlay`),
    ]);
    assert.is(booted.code, 0);
    assert.is(
      booted.after.replace(/touch: .*\n/, ''),
      'new\ndisk\n2550 0:0\nnew\ndisk\n755 0:0\nnew\ndisk\n755 3:4\nfailed\n',
    );
  });

  test('names in which "+" and "/" could be confused have layers of their own', () => {
    const { made } = boot({
      files: { ...overlays('/opt/a+b /opt/a/b'), 'sysroot/opt/a+b/x': '', 'sysroot/opt/a/b/x': '' },
    });
    assert.equal(made.slice(4), [overlayOn('/opt/a+b', undefined, 'opt+a%2bb'), overlayOn('/opt/a/b')]);
  });

  test('of a path that is given twice, the first item counts', () => {
    const { made, bootEnv } = boot({ files: { ...overlays('/opt:noexec /opt'), ...tree } });
    assert.equal(made.slice(4), [overlayOn('/opt', 'nosuid,nodev,noexec')]);
    assert.ok(
      bootEnv.includes('WARNING=OVERLAY: /opt is given twice, the first item counts'),
      bootEnv.join(),
    );
  });

  test('the overlays do not propagate to the lower layers', () => {
    const { after } = boot({
      files: { ...overlays('/opt'), ...tree },
      before: 'mount --make-rshared /sysroot; mount --make-rshared /',
      after: 'echo new >/sysroot/opt/x; cat /run/immutafs/root/opt/x',
    });
    assert.is(after, 'disk\n');
  });

  test('a second run changes nothing', () => {
    const command = '/usr/libexec/immutafs/immutafs-boot initramfs /sysroot';
    const { made, bootEnv } = boot({
      files: { ...overlays('/opt /opt/agent'), ...tree },
      script: `${command} && ${command}`,
    });
    assert.is(made.length, 6);
    assert.equal(records(bootEnv), ['OVERLAY=/opt overlay', 'OVERLAY=/opt/agent overlay']);
  });

  for (const disk of ['writable', 'sealed'] as const) {
    const expected = disk === 'sealed';
    test(`the disk is ${disk}: ${expected ? 'an overlay' : 'nothing is mounted or recorded'}`, () => {
      const { made, bootEnv } = boot({ disk, files: { ...overlays('/opt /usr'), ...tree } });
      assert.is(made.includes(overlayOn('/opt')), expected);
      assert.is(records(bootEnv).length, expected ? 2 : 0);
    });
  }

  test('/etc: the LVM configuration of this boot is mounted over the overlay', () => {
    const { made } = boot({
      files: {
        ...overlays('/etc'),
        'sysroot/etc/lvm/lvmlocal.conf': '#\n',
        'run/immutafs/lvm-filter': '"r|x|"\n',
      },
    });
    assert.equal(
      made.slice(4).map((line) => line.split(' ', 2).join(' ')),
      ['/sysroot/etc overlay', '/sysroot/etc/lvm/lvmlocal.conf tmpfs'],
    );
  });

  test('each path that can never get one is refused with its reason; the next path is not affected', () => {
    const paths = Object.keys(refused);
    const { made, bootEnv, code, stderr } = boot({
      files: { ...overlays(`${paths.map((each) => `${each}:noexec`).join(' ')} /opt`), ...tree },
    });
    const expected = [
      ...Object.entries(refused).map(([target, reason]) => `${target} refused ${reason}`),
      '/opt overlay',
    ];
    assert.equal(records(bootEnv).toSorted(), expected.map((record) => `OVERLAY=${record}`).toSorted());
    assert.equal(made, [...assembled, view, overlayOn('/opt')]);
    assert.is(code, 0);
    assert.ok(stderr.includes(`immutafs: OVERLAY: /usr: ${refused['/usr'] ?? ''}\n`), stderr);
  });

  test('each obstacle is recorded; the next path is not affected; the exit code is that of /var', () => {
    const { made, bootEnv, code } = boot({
      files: {
        ...overlays(`${obstacles.map(([target]) => target).join(' ')} /opt`),
        ...tree,
        'sysroot/etc/fstab': `UUID=r / xfs ro 0 0\n${obstacles.map(([, , , line]) => (line === undefined ? '' : `${line} 0 0\n`)).join('')}`,
      },
      before: obstacles.map(([, , lines = '']) => lines).join('\n'),
    });
    const expected = [...obstacles.map(([target, record]) => `${target} ${record}`), '/opt overlay'];
    assert.equal(records(bootEnv).toSorted(), expected.map((record) => `OVERLAY=${record}`).toSorted());
    assert.equal(made, [...assembled, view, overlayOn('/opt')]);
    assert.is(code, 0);
  });

  for (const [title, damage, reason] of [
    ['its inode', 'clri /opt', /^OVERLAY=\/opt (failed|missing) /],
    [
      'its only block',
      'zap_block -f /opt 0',
      /^OVERLAY=\/opt failed \/run\/immutafs\/root\/opt has subdirectories, but its entries cannot be read$/,
    ],
  ] as const) {
    test(`a damaged directory, ${title}: /var and /root are not affected`, () => {
      const { made, bootEnv, code } = boot({
        files: { ...overlays('/opt /root'), ...tree },
        damage: `debugfs -w -R '${damage}' /image 2>/dev/null`,
      });
      assert.match(records(bootEnv).find((line) => line.includes('/opt')) ?? '', reason);
      assert.equal(made, [...assembled, view, overlayOn('/root')]);
      assert.is(code, 0);
    });
  }

  test('/var fails: the overlays are mounted, with a tmpfs of their own; ON_FAILURE is that of /var', () => {
    const { made, bootEnv, code } = boot({
      files: { ...config(`${small}OVERLAY=/opt\nON_FAILURE=poweroff\n`), ...tree },
      before: 'rm -r /sysroot/var',
    });
    assert.equal(made, [assembled[1] ?? '', view, overlayOn('/opt')]);
    assert.ok(bootEnv.includes('VAR=failed'));
    assert.match(
      bootEnv.find((line) => line.startsWith('ERROR=')) ?? '',
      /^ERROR=\/sysroot\/var on the disk/,
    );
    assert.equal(records(bootEnv), ['OVERLAY=/opt overlay']);
    assert.is(code, 11);
  });

  test('no overlay in the kernel: recorded for each path, and nothing remains', () => {
    const { made, run, bootEnv } = boot({
      files: { ...overlays('/opt /root'), ...tree, 'proc/filesystems': 'nodev\ttmpfs\n' },
      before: noModules,
    });
    assert.equal(made, []);
    assert.equal(run, nothingLeft);
    for (const record of records(bootEnv))
      assert.match(record, / failed the kernel has no overlay file system/);
    assert.is(records(bootEnv).length, 2);
  });

  for (const [part, mounted, reason] of [
    [
      'mountAt lowerdir=/run/immutafs/root/root',
      ['/opt', '/opt/agent'],
      /^the mount of the overlay on \/sysroot\/root failed: /,
    ],
    ['mountAt lowerdir=/run/immutafs/root', [], /^the mount of the overlay on \/sysroot\/opt/],
  ] as const) {
    test(`a mount fails: ${part}; the others are mounted`, () => {
      const { made, bootEnv, code, stderr } = boot({
        files: { ...overlays('/opt /root /opt/agent'), ...tree, fail: part },
      });
      assert.equal(
        made.toSorted(),
        [
          ...assembled,
          ...(mounted.length > 0 ? [view] : []),
          ...mounted.map((each) => overlayOn(each)),
        ].toSorted(),
      );
      for (const record of records(bootEnv)) {
        const [, target = '', state, text = ''] = /^OVERLAY=(\S+) (\S+) ?(.*)$/.exec(record) ?? [];
        const isMounted = mounted.some((each) => each === target);
        assert.is(state, isMounted ? 'overlay' : 'failed', stderr);
        if (!isMounted && target !== '/opt/agent' && !(target === '/root' && mounted.length === 0))
          assert.match(text, reason);
      }
      assert.equal([records(bootEnv).length, code, bootEnv.includes('VAR=overlay')], [3, 0, true]);
    });
  }

  test('a file system of OVERLAY is not mounted early', () => {
    const made = (conf: string) =>
      boot({
        files: { ...config(conf), 'sysroot/opt/x': '' },
        before: `truncate -s 8m /volume; mkfs.ext4 -q /volume; mount -t sysfs sys /sys
          loop=$(losetup -f --show /volume); umount /sys; exec 9<"$loop"; losetup -d "$loop"
          echo "$loop /opt ext4 ro 0 0" >/sysroot/etc/fstab
          ln -s "$(readlink /sys/class/block/vda)" "/sys/class/block/\${loop##*/}"`,
      }).made;
    const early = '/sysroot/opt ext4 ro';
    assert.ok(made(small).includes(early));
    assert.not(made(`${small}OVERLAY=/root /opt:noexec\n`).includes(early));
  });
});
