import * as assert from 'uvu/assert';
import { bootIn, small } from './assemble-var.ts';
import { runInSandbox } from './sandbox.ts';
import { cmdline, links, vdb, vdc } from './sealed-disk.ts';
import { inShells } from './shells.ts';

/** Returns the data that udev has of a member of an array. vdb is sealed; vdc, with the partition 252:34, is writable. */
const member = (device: string, type: string, uuid: string) => ({
  [`run/udev/data/b${device}`]: `E:ID_FS_TYPE=${type}\nE:ID_FS_UUID_ENC=${uuid}\n`,
});
const mdadm = (devices: number) => ({
  'usr/sbin/mdadm': `#!/bin/bash
    case $1 in
      --examine) [ "$3" = /dev/vdb2 ] && echo MD_DEVICES=${devices} ;;
      --stop) echo "$2" >>/out/stopped; [ ! -e /busy ] ;;
    esac\n`,
});

/** Creates a Btrfs with one device or two devices; the sealed member is the first one. */
const btrfs = (devices: 1 | 2) => `
  for name in one two; do truncate -s 120M /$name; done
  mkfs.btrfs -q -U 1f5a0000-0000-4000-8000-000000000001 ${devices === 1 ? '/one' : '-d single -m single /one /two'}
  ln -s /one /dev/vdb2`;
const uuid = '1f5a0000-0000-4000-8000-000000000001';

inShells('copies of the members of arrays and Btrfs', (test, shell) => {
  const boot = bootIn(shell);
  const array = { name: 'md127', device: '9:127', on: ['vdc2'] };
  const run = (count: number, before = '') => {
    const { code, after, bootEnv, stderr } = boot({
      ...{ devices: [vdb, vdc, array] },
      files: {
        ...cmdline('root=/dev/mapper/rhel-root'),
        'sysroot/etc/immutafs/immutafs.conf': small,
        'sys/class/block/md127/md/array_state': 'clean\n',
        ...member('252:34', 'linux_raid_member', 'ab:cd'),
        ...mdadm(count),
      },
      before: `${links('member/ab:cd/vdb2')}\n${before}`,
      after: 'cat /out/stopped 2>/dev/null',
    });
    return { code, stopped: after, bootEnv, stderr };
  };
  test('an array with a copy of a sealed member is stopped, and the copy is recorded', () => {
    const { code, stopped, bootEnv, stderr } = run(1);
    assert.equal([code, stopped], [0, '/dev/md127\n']);
    assert.match(stderr, '/dev/vdc2 has the same UUID=ab:cd as the sealed device /dev/vdb2 and is not used');
    assert.ok(bootEnv.includes('IMPOSTOR=/dev/vdc2 /dev/vdb2 UUID=ab:cd'), bootEnv.join('\n'));
  });
  test('an array with a copy that is in use: a warning', () => {
    const { code, bootEnv, stderr } = run(1, 'touch /busy');
    assert.is(code, 0);
    const said =
      '/dev/md127 contains /dev/vdc2, a copy of /dev/vdb2, and is in use: detach the disk of /dev/vdc2';
    assert.ok(bootEnv.includes(`WARNING=${said}`), bootEnv.join('\n'));
    assert.ok(bootEnv.includes('IMPOSTOR=/dev/vdc2 /dev/vdb2 UUID=ab:cd'), bootEnv.join('\n'));
    assert.not.match(stderr, 'is not used');
  });
  test('without an answer of immutafs-boot, an array that may contain a copy is stopped', () => {
    const program = '/usr/libexec/immutafs/immutafs-boot';
    const failing = `mv ${program} /real; printf '#!/bin/bash\\n[ $1 = disks ] || exit 3; exec /real "$@"\\n' >${program}; chmod +x ${program}`;
    const { stopped, bootEnv } = run(2, failing);
    assert.is(stopped, '/dev/md127\n');
    assert.ok(bootEnv.includes('IMPOSTOR=/dev/vdc2 /dev/unknown UUID=ab:cd'), bootEnv.join('\n'));
  });
  test('an array that spans both disks is not stopped', () => {
    const { code, stopped, bootEnv } = run(2);
    assert.equal([code, stopped], [0, '']);
    assert.not.match(bootEnv.join('\n'), 'IMPOSTOR');
  });

  const mountRoot = (files: Record<string, string>, count: number, words = '', before = '') =>
    runInSandbox({
      shell,
      devices: [vdb, vdc, array],
      files: {
        ...cmdline(`root=UUID=absent ${words}`),
        ...mdadm(count),
        ...files,
        'usr/bin/btrfs': '#!/bin/bash\necho "$@" >>/out/btrfs\n',
        'usr/bin/udevadm': '#!/bin/bash\necho "$@" >>/out/udevadm\n',
        'sys/class/block/md127/md/array_state': 'clean\n',
      },
      run: `${before}
        sh /usr/libexec/immutafs/mount-readonly
        cat /sys/class/block/vdb2/uevent >/out/uevent; cp /run/immutafs/impostors /out/ 2>/dev/null`,
    }).out;
  const raid = { ...member('252:34', 'linux_raid_member', 'ab:cd') };
  const raidLinks = links('member/ab:cd/vdb2', 'md/vdb2');
  const impostor = (id: string) => `IMPOSTOR=/dev/vdc2 /dev/vdb2 UUID=${id}\n`;

  test('an array with a copy is stopped, and udev adds the sealed member', () => {
    const out = mountRoot(raid, 1, '', raidLinks);
    assert.equal(
      [out['stopped'], out['uevent'], out['udevadm'], out['impostors']],
      // It runs before and after the wait for udev, because the array of this test remains.
      ['/dev/md127\n'.repeat(2), 'add\n', 'settle --timeout=90\n'.repeat(2), impostor('ab:cd')],
    );
  });
  test('an array that spans both disks is not stopped', () => {
    const { stopped, udevadm } = mountRoot(raid, 2, '', raidLinks);
    assert.equal([stopped, udevadm], [undefined, undefined]);
  });
  test('a copy of a Btrfs is forgotten, and udev adds the sealed device', () => {
    const files = { ...member('252:34', 'btrfs', uuid) };
    const out = mountRoot(files, 0, '', `${links(`member/${uuid}/vdb2`)}\n${btrfs(1)}`);
    assert.equal(
      [out['btrfs'], out['uevent'], out['impostors']],
      ['device scan --forget /dev/vdc2\n'.repeat(2), 'add\n', impostor(uuid)],
    );
    assert.is(mountRoot(files, 0, '', `${links(`member/${uuid}/vdb2`)}\n${btrfs(2)}`)['btrfs'], undefined);
  });
  test('nothing happens with immutafs=off, or without sealed members', () => {
    const { stopped, udevadm } = mountRoot(raid, 1, 'immutafs=off', raidLinks);
    assert.equal([stopped, udevadm], [undefined, undefined]);
    const without = mountRoot(raid, 1, '', links());
    assert.equal([without['stopped'], without['udevadm']], [undefined, undefined]);
  });
});
