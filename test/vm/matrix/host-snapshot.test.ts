import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../../wire/support/until.ts';
import { type Hypervisor, defineXml, redefine } from '../libvirt/hypervisor.ts';
import type { Ansible } from '../libvirt/playbooks.ts';
import { stubArguments, stubXml, withStubDomain } from '../libvirt/stub-domain.ts';

/** Tests the module `snapshot` and the playbooks that use it with real qcow2 files, in stub domains. */
const host = suite('the host can undo updates');

interface Stub {
  ansible: Ansible;
  hypervisor: Hypervisor;
  disk: (readonly: boolean) => ReturnType<Ansible['module']>;
  /** The qcow2 file of the system disk. */
  image: string;
  /** Runs the module `snapshot`. */
  snapshot: (state: string, more?: Record<string, unknown>, mode?: 'check') => ReturnType<Ansible['module']>;
  /** Writes one byte to 64 KiB of the disk. */
  write: (value: number) => Promise<void>;
  /** Returns the first byte of the disk. */
  first: () => Promise<number | undefined>;
  /** Returns the names of the snapshots in the file. */
  snapshots: () => Promise<string[]>;
}

const withQcow2 = (work: (stub: Stub) => Promise<void>) =>
  withStubDomain(
    async (ansible, hypervisor, disk) => {
      const image = join(hypervisor.folder, 'stub/system.qcow2');
      const directory = join(hypervisor.folder, 'state');
      await work({
        ansible,
        hypervisor,
        disk,
        image,
        snapshot: (state, more = {}, mode) =>
          ansible.module('snapshot', { ...stubArguments(hypervisor), directory, state, ...more }, mode),
        write: async (value) => {
          await execa('qemu-io', ['-f', 'qcow2', '-c', `write -P ${value} 0 64k`, image]);
        },
        first: async () => {
          const raw = join(hypervisor.folder, 'raw');
          await execa('qemu-img', ['convert', '-U', '-f', 'qcow2', '-O', 'raw', image, raw]);
          return (await readFile(raw))[0];
        },
        snapshots: async () => {
          const { stdout } = await execa('qemu-img', ['info', '-U', '--output=json', image]);
          const { snapshots = [] } = JSON.parse(stdout) as { snapshots?: { name: string }[] };
          return snapshots.map(({ name }) => name);
        },
      });
    },
    undefined,
    'qcow2',
  );

host('a snapshot is created of a sealed disk, once, restored and deleted', () =>
  withQcow2(async ({ disk, hypervisor, snapshot, write, first, snapshots }) => {
    await write(1);
    const open = await snapshot('present');
    assert.match(open.msg ?? '', /^stub is open and has no snapshot of its sealed state/);
    await disk(true);
    assert.equal([(await snapshot('present', {}, 'check')).changed, await snapshots()], [true, []]);
    await hypervisor.virsh('start', 'stub');
    assert.match((await snapshot('present')).msg ?? '', /^stub is running: it can be changed only while/);
    await hypervisor.virsh('destroy', 'stub');
    const { changed, taken } = await snapshot('present');
    assert.is(changed, true);
    assert.match(taken as string, /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    await write(2);
    assert.is((await snapshot('present')).changed, false, 'that of an interrupted update is kept');
    assert.equal(await snapshots(), ['immutafs']);

    const restored = await snapshot('restored', { reason: 'a check failed' });
    assert.equal([restored.changed, restored.phase, restored.reason], [true, 'restored', 'a check failed']);
    assert.equal([await first(), await snapshots()], [1, []]);
    assert.is((await snapshot('restored', { reason: 'another' })).changed, false);
    const gone = await snapshot('absent');
    assert.equal([gone.changed, gone.phase, gone.reason], [true, null, null]);
    assert.is((await snapshot('absent')).changed, false);
    assert.is(
      (await snapshot('restored', { reason: 'none' })).msg,
      'stub has no snapshot that could be restored',
    );
  }),
);

host('a restoration that was interrupted is found and continued; a kept snapshot is replaced', () =>
  withQcow2(async ({ disk, hypervisor, image, snapshot, write, first, snapshots }) => {
    const record = join(hypervisor.folder, 'state/stub/rollback.json');
    await disk(true);
    await write(1);
    await snapshot('present');
    await write(2);
    // The state of the files if the module is killed before qemu-img restores the snapshot.
    await mkdir(join(hypervisor.folder, 'state/stub'), { recursive: true });
    await writeFile(record, JSON.stringify({ phase: 'restoring', reason: 'the first' }));
    assert.match((await snapshot('absent')).msg ?? '', /is still being restored/);
    const again = await snapshot('restored', { reason: 'the second' });
    assert.equal([again.phase, again.reason, await first()], ['restored', 'the first', 1]);
    // The state if the module is killed after qemu-img has deleted the snapshot.
    await writeFile(record, JSON.stringify({ phase: 'restoring', reason: 'the first' }));
    const last = await snapshot('restored', { reason: 'the second' });
    assert.equal([last.phase, last.reason, await first()], ['restored', 'the first', 1]);
    await writeFile(record, 'half a rec');
    assert.match((await snapshot('query')).msg ?? '', /rollback\.json cannot be read/);
    await writeFile(record, JSON.stringify({ phase: 'restored', reason: 'the first' }));
    await snapshot('absent');
    assert.is(existsSync(record), false);

    await snapshot('present');
    assert.is((await snapshot('kept')).phase, 'kept');
    await write(3);
    const replaced = await snapshot('present');
    assert.equal([replaced.changed, replaced.phase, await snapshots()], [true, null, ['immutafs']]);
    await write(4);
    await snapshot('restored', { reason: 'failed' });
    assert.is(await first(), 3, 'the state of the second snapshot');
    await execa('qemu-img', ['check', '-f', 'qcow2', image]);
  }),
);

host(
  'a disk that cannot be rolled back is refused with the way out: raw, other storage, no space',
  async () => {
    await withStubDomain(async (ansible, hypervisor) => {
      const { msg } = await ansible.module('snapshot', { ...stubArguments(hypervisor) });
      assert.match(
        msg ?? '',
        /system\.raw is a raw file, which has no snapshots: .*qemu-img convert .* immutafs_rollback: /,
      );
    });
    await withQcow2(async ({ disk, hypervisor, image, snapshot, snapshots }) => {
      await disk(true);
      const folder = join(hypervisor.folder, 'small');
      await mkdir(folder);
      await execa('mount', ['-t', 'tmpfs', '-o', 'size=3M', 'tmpfs', folder]);
      try {
        await execa('qemu-img', ['create', '-f', 'qcow2', join(folder, 'system.qcow2'), '4M']);
        const xml = await stubXml(hypervisor);
        await defineXml(hypervisor, xml.replace(image, join(folder, 'system.qcow2')));
        const full = await snapshot('present');
        assert.match(
          full.msg ?? '',
          /^a snapshot of stub needs up to 4 MiB, but only [12] MiB are free: .* immutafs_snapshot_size/,
        );
        assert.is(
          (await snapshot('present', { size: 'all' })).msg,
          "immutafs_snapshot_size is 'all', but must be a size such as 8G or 50%",
        );
        assert.is((await snapshot('present', { size: '1M' })).failed, false);
        await snapshot('absent');
        await defineXml(hypervisor, xml.replace("type='qcow2'", "type='vmdk'"));
        assert.match(
          (await snapshot('query')).msg ?? '',
          /a disk of type 'file' with the format 'vmdk' cannot be rolled back/,
        );
        await defineXml(hypervisor, xml);
      } finally {
        await execa('umount', [folder]);
      }
      await snapshot('present');
      assert.equal(await snapshots(), ['immutafs']);
    });
  },
);

/** Short limits, because a stub domain never answers. */
const limits = {
  ...{
    immutafs_start_timeout: 2,
    immutafs_shutdown_timeout: 2,
    immutafs_settle_timeout: 1,
    ansible_timeout: 2,
  },
  ...{ immutafs_rollback: true },
};

host('update.yml undoes an update whose guest hangs: the domain ends, the disk is restored', () =>
  withQcow2(async ({ ansible, hypervisor, disk, snapshot, write, first, snapshots }) => {
    const variables = { ...limits, immutafs_state_directory: join(hypervisor.folder, 'state') };
    await disk(true);
    await write(1);
    await snapshot('present');
    await write(2);
    await disk(false);
    // As of a guest whose sshd answers, but whose commands never end.
    const ssh = join(hypervisor.folder, 'ssh');
    await writeFile(ssh, '#!/bin/sh\nexec sleep 600\n');
    await chmod(ssh, 0o755);
    const hanging = { ansible_ssh_executable: ssh, immutafs_status_timeout: 2 };
    const { exit, report, output } = await ansible.play('update', { ...variables, ...hanging });
    assert.is(exit, 2, output);
    // The restored guest cannot come up in a stub domain either, so that the rollback ends with an error.
    assert.match(
      report.join('\n'),
      /^stub: running, sealed, does not answer\. FAILED: Wait until the guest has started: .* The rollback failed: Wait until/,
      output,
    );
    assert.not.match(report.join('\n'), 'QEMU has paused the guest');
    assert.equal([await first(), await snapshots()], [1, []]);
    const { phase, reason } = await snapshot('query');
    assert.is(phase, 'restored');
    assert.match(reason as string, /^Wait until the guest has started: /);

    const sealing = await ansible.play('seal', variables);
    assert.match(
      sealing.report.join('\n'),
      /FAILED: Continue the rollback that was interrupted: /,
      sealing.output,
    );
    assert.is((await snapshot('query')).phase, 'restored', 'until the guest has come up');
  }),
);

/**
 * A boot sector that overwrites the disk from its first sector on: it calls INT 13h, AH=43h (extended write), with the
 * disk address packet at 0x7C20, and adds 127 sectors to the address in the packet.
 */
const overwriting = Buffer.alloc(512);
Buffer.from(
  '31c08ed88ec08ed0bc007c' + 'be207c' + 'b80043' + 'b280' + 'cd13' + '668306287c7f' + 'ebee',
  'hex',
).copy(overwriting);
Buffer.from('10007f00007e0000', 'hex').copy(overwriting, 0x20);
overwriting.writeUInt16LE(0xaa55, 510);

/** Calls `work` with the qcow2 file of `stub` on a file system of 16 MiB. The domain overwrites this disk of 64 MiB. */
async function withSmallStorage(stub: Stub, work: (image: string) => Promise<void>): Promise<void> {
  const { hypervisor } = stub;
  const [folder, raw] = [join(hypervisor.folder, 'small'), join(hypervisor.folder, 'sector')];
  await mkdir(folder);
  await execa('mkfs.ext4', ['-q', '-m', '0', '-O', '^has_journal', `${folder}.img`, '16M']);
  await execa('mount', ['-o', 'loop', `${folder}.img`, folder]);
  try {
    // libvirtd has its own mount namespace, so the same device is mounted there as well.
    const { stdout: device } = await execa('findmnt', ['-n', '-o', 'SOURCE', folder]);
    const { stdout: pid } = await execa('pgrep', ['-f', `^/usr/sbin/libvirtd .*${hypervisor.folder}/`]);
    await execa('nsenter', [`--mount=/proc/${pid}/ns/mnt`, 'mount', device, folder]);
    const image = join(folder, 'system.qcow2');
    await writeFile(raw, overwriting);
    await execa('truncate', ['--size', '64M', raw]);
    await execa('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, image]);
    await redefine(hypervisor, 'stub', (xml) => xml.replace(stub.image, image));
    await work(image);
  } finally {
    await hypervisor.virsh('destroy', 'stub').catch(() => undefined);
    await execa('umount', [folder]);
  }
}

host(
  'QEMU pauses a guest whose storage is full; update.yml says so, ends the guest and restores the disk',
  () =>
    withQcow2(async (stub) => {
      const { ansible, hypervisor, disk, snapshot } = stub;
      await withSmallStorage(stub, async (image) => {
        const content = async () => {
          const raw = join(hypervisor.folder, 'raw');
          await execa('qemu-img', ['convert', '-U', '-f', 'qcow2', '-O', 'raw', image, raw]);
          return readFile(raw);
        };
        const before = await content();
        await disk(true);
        const refused = await snapshot('present');
        assert.match(refused.msg ?? '', /^a snapshot of stub needs up to 64 MiB, but only 1\d MiB are free/);
        assert.is((await snapshot('present', { size: '1M' })).changed, true);
        await disk(false);
        await hypervisor.virsh('start', 'stub');
        const isPaused = async () =>
          (await hypervisor.virsh('domstate', '--reason', 'stub')).trim() === 'paused (I/O error)';
        await until('QEMU pauses the guest', isPaused, 120);
        assert.not.ok((await content()).equals(before), 'the guest has written');

        const { report, output } = await ansible.play('update', {
          ...limits,
          immutafs_snapshot_size: '1M',
          immutafs_state_directory: join(hypervisor.folder, 'state'),
          // Does not apply, because a paused guest cannot shut down.
          immutafs_shutdown_timeout: 900,
        });
        assert.match(
          report.join('\n'),
          /^stub: running, sealed, does not answer\. FAILED: .*stub is paused \(I\/O error\).*; QEMU has paused the guest \(I\/O error\), as it does when the storage of a disk on the host is full\. The rollback failed: Wait until the guest has started/,
          output,
        );
        const { phase, taken } = await snapshot('query');
        assert.equal([phase, taken], ['restored', null]);
        assert.ok((await content()).equals(before), 'byte for byte');
        await hypervisor.virsh('destroy', 'stub');
        await execa('qemu-img', ['check', '-f', 'qcow2', image]);
      });
    }),
);

host(
  'an interrupted rollback is continued without immutafs_rollback, and its guest is not started before',
  () =>
    withQcow2(async ({ ansible, hypervisor, disk, snapshot, write, first }) => {
      const directory = join(hypervisor.folder, 'state');
      const variables = { ...limits, immutafs_rollback: false, immutafs_state_directory: directory };
      await disk(true);
      await write(1);
      await snapshot('present');
      await write(2);
      await mkdir(join(directory, 'stub'), { recursive: true });
      const record = join(directory, 'stub/rollback.json');
      await writeFile(record, JSON.stringify({ phase: 'restoring', reason: 'a check failed' }));
      const domain = (more = {}) =>
        ansible.module('domain', { ...stubArguments(hypervisor), directory, ...more });
      assert.equal((await domain())['rollback'], { phase: 'restoring', reason: 'a check failed' });
      assert.match(
        (await domain({ state: 'running' })).msg ?? '',
        /^stub was not started, because the rollback of its disk was interrupted: .*\(reason: a check failed\)$/,
      );
      const recycling = await ansible.play('recycle', variables);
      assert.is(recycling.exit, 2, recycling.output);
      assert.is(await first(), 2, 'recycle.yml does not continue a rollback');

      const { report, output } = await ansible.play('seal', variables);
      assert.match(
        report.join('\n'),
        /FAILED: Continue the rollback that was interrupted: a check failed/,
        output,
      );
      assert.is(await first(), 1, output);
      assert.equal((await domain())['rollback'], { phase: 'restored', reason: 'a check failed' });
      await hypervisor.virsh('destroy', 'stub');
      assert.is((await domain({ state: 'running' })).failed, false, 'a restored disk may be started');
    }),
);

host('update.yml opens no guest without a snapshot, nor outside of its window', () =>
  withQcow2(async ({ ansible, hypervisor, disk, snapshots }) => {
    const variables = { ...limits, immutafs_state_directory: join(hypervisor.folder, 'state') };
    const refused = await ansible.play('update', variables);
    assert.match(
      refused.report.join('\n'),
      /^stub: shut off, open\. FAILED: Create the snapshot: stub is open/,
      refused.output,
    );
    await disk(true);
    const full = await ansible.play('update', { ...variables, immutafs_snapshot_size: '999T' });
    assert.match(
      full.report.join('\n'),
      /^stub: shut off, sealed\. FAILED: Create the snapshot: a snapshot of stub needs/,
    );
    const day = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'][(new Date().getUTCDay() + 2) % 7];
    const closed = { immutafs_window: [{ days: [day], from: '10:00', to: '10:30' }] };
    const deferred = await ansible.play('update', { ...variables, ...closed });
    assert.is(deferred.exit, 0, deferred.output);
    assert.match(
      deferred.report.join('\n'),
      /^stub: shut off, sealed; not updated: outside of every window; the next window opens at/,
    );
    assert.equal(await snapshots(), [], 'nothing was begun');
    await hypervisor.virsh('start', 'stub');
    const none = await ansible.play('rollback', variables);
    assert.match(
      none.report.join('\n'),
      /^stub: running, sealed, .*FAILED: Require a snapshot: the system disk has no snapshot/,
      none.output,
    );
    await hypervisor.virsh('destroy', 'stub');
    const wrong = await ansible.play('update', {
      ...variables,
      immutafs_window: [{ from: '9', to: '10:00' }],
    });
    assert.match(wrong.report.join('\n'), /FAILED: .*must be HH:MM/, wrong.output);
  }),
);

host.run();
