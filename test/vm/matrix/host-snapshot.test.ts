import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import * as assert from 'uvu/assert';
import { until } from '../../wire/support/until.ts';
import { withLoop } from '../harness/loop.ts';
import { defineXml, libvirtdOf, redefine } from '../libvirt/hypervisor.ts';
import { assertPlayed } from '../libvirt/playbooks.ts';
import { rawCopy, writeBytes } from '../libvirt/images.ts';
import { type Answer, type Stub, shortLimits, stubSuite } from '../libvirt/stub-suite.ts';
import { writeProgram } from '../libvirt/write-program.ts';

/** Tests the module `snapshot` and the playbooks that use it with real qcow2 files, in stub domains. */
const host = stubSuite('the host can undo updates', { systemFormat: 'qcow2', isSealed: true });

/** What the tests do with the system disk and its snapshot. */
function snapshotsOf({ expect, directory, folder, image }: Stub) {
  return {
    /** Runs the module `snapshot`, and compares what it returns. */
    snapshot: (state: string, answer: Answer, more: Record<string, unknown> = {}, mode?: 'check') =>
      expect('snapshot', { directory, state, ...more }, answer, mode),
    /** Writes one byte to 64 KiB of the disk. */
    write: (value: number) => writeBytes(image, 0, 65_536, value),
    /** Asserts the first byte of the disk and the names of the snapshots in the file. */
    assertDisk: async (first: number | null, names: readonly string[]) => {
      const { stdout } = await execa('qemu-img', ['info', '-U', '--output=json', image]);
      const { snapshots = [] } = JSON.parse(stdout) as { snapshots?: { name: string }[] };
      assert.equal(
        snapshots.map(({ name }) => name),
        names,
      );
      if (first !== null) assert.is((await readFile(await rawCopy(folder, image)))[0], first);
    },
    /** Replaces the record of the rollback, as it is if the module was killed. @returns its file */
    record: async (content: unknown) => {
      const file = join(directory, 'stub/rollback.json');
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content));
      return file;
    },
    variables: { ...shortLimits, immutafs_rollback: true, immutafs_state_directory: directory },
  };
}

const changed = { changed: true };
const unchanged = { changed: false };

host(
  'a snapshot is created of a sealed disk, once, restored and deleted',
  async (stub) => {
    const { snapshot, write, assertDisk } = snapshotsOf(stub);
    await write(1);
    await snapshot('present', /^stub is open and has no snapshot of its sealed state/);
    await stub.expect('disk', { readonly: true }, changed);
    await snapshot('present', changed, {}, 'check');
    await assertDisk(1, []);
    const { taken } = await snapshot('present', changed);
    assert.match(taken as string, /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    await write(2);
    // The snapshot of an interrupted update is kept.
    await snapshot('present', unchanged);
    await assertDisk(2, ['immutafs']);

    const reason = 'a check failed';
    await snapshot('restored', { ...changed, phase: 'restored', reason }, { reason });
    await assertDisk(1, []);
    await snapshot('restored', unchanged, { reason: 'another' });
    await snapshot('absent', { ...changed, phase: null, reason: null });
    await snapshot('absent', unchanged);
    await snapshot('restored', 'stub has no snapshot that could be restored', { reason: 'none' });
  },
  { isSealed: false },
);

host(
  'a restoration that was interrupted is found and continued; a kept snapshot is replaced',
  async (stub) => {
    const { snapshot, write, assertDisk, record } = snapshotsOf(stub);
    const reason = 'the first';
    await write(1);
    await snapshot('present', changed);
    await write(2);
    await record({ phase: 'restoring', reason });
    await snapshot('absent', /is still being restored/);
    // The module is killed before qemu-img restores the snapshot, and after qemu-img has deleted the snapshot.
    for (const left of [['immutafs'], []]) {
      await assertDisk(null, left);
      await record({ phase: 'restoring', reason });
      await snapshot('kept', { ...unchanged, phase: 'restoring' });
      await snapshot('restored', { phase: 'restored', reason }, { reason: 'the second' });
      await assertDisk(1, []);
    }
    await record('half a rec');
    await snapshot('query', /rollback\.json cannot be read/);
    const file = await record({ phase: 'restored', reason });
    await snapshot('absent', changed);
    assert.is(existsSync(file), false);

    await snapshot('present', changed);
    await snapshot('kept', { phase: 'kept' });
    await write(3);
    await snapshot('present', { ...changed, phase: null });
    await assertDisk(3, ['immutafs']);
    await write(4);
    await snapshot('restored', {}, { reason: 'failed' });
    // The state of the second snapshot.
    await assertDisk(3, []);
    await execa('qemu-img', ['check', '-f', 'qcow2', stub.image]);
  },
);

host(
  'a disk that cannot have snapshots is refused with the way out, and has none that could be kept',
  async (stub) => {
    const { hypervisor, image, xml } = stub;
    const { snapshot } = snapshotsOf(stub);
    const own = await xml();
    const assertNone = async (message: RegExp) => {
      await snapshot('query', message);
      await snapshot('kept', { ...unchanged, taken: null });
    };
    await assertNone(
      /system\.raw is a raw file, which has no snapshots: .*qemu-img convert .* immutafs_rollback: /,
    );
    await withLoop(image, { offset: 0, size: 2 ** 20 }, async (device) => {
      await defineXml(
        hypervisor,
        own.replace("type='file'", "type='block'").replace(`file='${image}'`, `dev='${device}'`),
      );
      await assertNone(/^\/dev\/loop\d+ is not a logical volume of LVM .* immutafs_rollback: false/);
    });
    // A disk of which nothing is known may have a snapshot.
    await defineXml(hypervisor, own.replace("type='raw'", "type='qcow2'"));
    await snapshot('kept', /qemu-img/);
  },
  { systemFormat: 'raw' },
);

/** Calls `work` with a folder on a small file system. @param options of mount(8) */
async function withSmallFolder(
  folder: string,
  options: readonly string[],
  work: (small: string) => Promise<void>,
): Promise<void> {
  const small = join(folder, 'small');
  await mkdir(small);
  await execa('mount', [...options, small]);
  try {
    await work(small);
  } finally {
    await execa('umount', [small]);
  }
}

host(
  'a disk that cannot be rolled back is refused with the way out: other storage, no space',
  async (stub) => {
    const { folder, hypervisor, image, xml } = stub;
    const { snapshot, assertDisk } = snapshotsOf(stub);
    const own = await xml();
    await withSmallFolder(folder, ['-t', 'tmpfs', '-o', 'size=3M', 'tmpfs'], async (small) => {
      const full = join(small, 'system.qcow2');
      await execa('qemu-img', ['create', '-f', 'qcow2', full, '4M']);
      await defineXml(hypervisor, own.replace(image, full));
      for (const [answer, more] of [
        [/^a snapshot of stub needs up to 4 MiB, but only [12] MiB are free: .* immutafs_snapshot_size/, {}],
        ["immutafs_snapshot_size is 'all', but must be a size such as 8G or 50%", { size: 'all' }],
        [changed, { size: '1M' }],
      ] as const)
        await snapshot('present', answer, more);
      await snapshot('absent', changed);
      await defineXml(hypervisor, own.replace("type='qcow2'", "type='vmdk'"));
      await snapshot('query', /a disk of type 'file' with the format 'vmdk' cannot be rolled back/);
      await defineXml(hypervisor, own);
    });
    await snapshot('present', changed);
    await assertDisk(null, ['immutafs']);
  },
);

host('update.yml undoes an update whose guest hangs: the domain ends, the disk is restored', async (stub) => {
  const { ansible, expect, expectPlays, folder } = stub;
  const { snapshot, write, assertDisk, variables } = snapshotsOf(stub);
  await write(1);
  await snapshot('present', changed);
  await write(2);
  await expect('disk', { readonly: false }, changed);
  // As of a guest whose sshd answers, but whose commands never end.
  const ssh = await writeProgram(join(folder, 'ssh'), 'exec sleep 600');
  const hanging = { ansible_ssh_executable: ssh, immutafs_status_timeout: 2 };
  const update = await ansible.play('update', { ...variables, ...hanging });
  // The restored guest cannot come up in a stub domain either, so that the rollback ends with an error.
  assertPlayed(
    update,
    2,
    /^stub: running, sealed, does not answer\. FAILED: Wait until the guest has started: .* The rollback failed: Wait until/,
  );
  assert.not.match(update.report.join('\n'), 'QEMU has paused the guest');
  await assertDisk(1, []);
  const { reason } = await snapshot('query', { phase: 'restored' });
  assert.match(reason as string, /^Wait until the guest has started: /);

  const interrupted = /FAILED: Continue the rollback that was interrupted: /;
  await expectPlays([['sealed', 'running', 'seal', variables, 2, interrupted]]);
  // Until the guest has come up.
  await snapshot('query', { phase: 'restored' });
});

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
  const { hypervisor, folder, virsh } = stub;
  const [storage, raw] = [join(folder, 'storage'), join(folder, 'sector')];
  await execa('mkfs.ext4', ['-q', '-m', '0', '-O', '^has_journal', storage, '16M']);
  await withSmallFolder(folder, ['-o', 'loop', storage], async (small) => {
    try {
      // libvirtd has its own mount namespace, so the same device is mounted there as well.
      const { stdout: device } = await execa('findmnt', ['-n', '-o', 'SOURCE', small]);
      const namespace = `--mount=/proc/${await libvirtdOf(hypervisor)}/ns/mnt`;
      await execa('nsenter', [namespace, 'mount', device, small]);
      const image = join(small, 'system.qcow2');
      await writeFile(raw, overwriting);
      await execa('truncate', ['--size', '64M', raw]);
      await execa('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, image]);
      await redefine(hypervisor, 'stub', (xml) => xml.replace(stub.image, image));
      await work(image);
    } finally {
      await virsh('destroy', 'stub').catch(() => undefined);
    }
  });
}

host(
  'QEMU pauses a guest whose storage is full; update.yml says so, ends the guest and restores the disk',
  async (stub) => {
    const { ansible, expect, folder, virsh } = stub;
    const { snapshot, variables } = snapshotsOf(stub);
    await withSmallStorage(stub, async (image) => {
      const content = async () => readFile(await rawCopy(folder, image));
      const before = await content();
      await snapshot('present', /^a snapshot of stub needs up to 64 MiB, but only 1\d MiB are free/);
      await snapshot('present', changed, { size: '1M' });
      await expect('disk', { readonly: false }, changed);
      await virsh('start', 'stub');
      const isPaused = async () =>
        (await virsh('domstate', '--reason', 'stub')).trim() === 'paused (I/O error)';
      await until('QEMU pauses the guest', isPaused, 120);
      assert.not.ok((await content()).equals(before), 'the guest has written');

      const update = await ansible.play('update', {
        ...variables,
        immutafs_snapshot_size: '1M',
        // Does not apply, because a paused guest cannot shut down.
        immutafs_shutdown_timeout: 900,
      });
      assertPlayed(
        update,
        2,
        /^stub: running, sealed, does not answer\. FAILED: .*stub is paused \(I\/O error\).*; QEMU has paused the guest \(I\/O error\), as it does when the storage of a disk on the host is full\. The rollback failed: Wait until the guest has started/,
      );
      await snapshot('query', { phase: 'restored', taken: null });
      assert.ok((await content()).equals(before), 'byte for byte');
      await virsh('destroy', 'stub');
      await execa('qemu-img', ['check', '-f', 'qcow2', image]);
    });
  },
);

host(
  'an interrupted rollback is continued without immutafs_rollback, and its guest is not started before',
  async (stub) => {
    const { ansible, directory, expect, virsh } = stub;
    const { snapshot, write, assertDisk, record, variables } = snapshotsOf(stub);
    const withoutRollback = { ...variables, immutafs_rollback: false };
    const reason = 'a check failed';
    await write(1);
    await snapshot('present', changed);
    await write(2);
    await record({ phase: 'restoring', reason });
    const domain = (more: Record<string, unknown>, answer: Answer) =>
      expect('domain', { directory, ...more }, answer);
    await domain({}, { rollback: { phase: 'restoring', reason } });
    await domain(
      { state: 'running' },
      /^stub was not started, because the rollback of its disk was interrupted: .*\(reason: a check failed\)$/,
    );
    const recycling = await ansible.play('recycle', withoutRollback);
    assert.is(recycling.exit, 2, recycling.output);
    // recycle.yml does not continue a rollback.
    await assertDisk(2, ['immutafs']);

    const interrupted = /FAILED: Continue the rollback that was interrupted: a check failed/;
    assertPlayed(await ansible.play('seal', withoutRollback), 2, interrupted);
    await assertDisk(1, []);
    await domain({}, { rollback: { phase: 'restored', reason } });
    await virsh('destroy', 'stub');
    // A restored disk may be started.
    await domain({ state: 'running' }, changed);
  },
);

host('update.yml opens no guest without a snapshot, nor outside of its window', async (stub) => {
  const { assertDisk, variables } = snapshotsOf(stub);
  const day = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'][(new Date().getUTCDay() + 2) % 7];
  const closed = { immutafs_window: [{ days: [day], from: '10:00', to: '10:30' }] };
  const deferred = /^stub: shut off, sealed; not updated: outside of every window; the next window opens at/;
  const full = /^stub: shut off, sealed\. FAILED: Create the snapshot: a snapshot of stub needs/;
  const open = /^stub: shut off, open\. FAILED: Create the snapshot: stub is open/;
  const none = /^stub: running, sealed, .*FAILED: Require a snapshot: the system disk has no snapshot/;
  const wrong = { immutafs_window: [{ from: '9', to: '10:00' }] };
  await stub.expectPlays(
    [
      ['open', 'shut off', 'update', {}, 2, open],
      ['sealed', 'shut off', 'update', { immutafs_snapshot_size: '999T' }, 2, full],
      ['sealed', 'shut off', 'update', closed, 0, deferred],
    ],
    variables,
  );
  // Nothing was begun.
  await assertDisk(null, []);
  await stub.expectPlays(
    [
      ['sealed', 'running', 'rollback', {}, 2, none],
      ['sealed', 'shut off', 'update', wrong, 2, /FAILED: .*must be HH:MM/],
    ],
    variables,
  );
});

/** Makes programs that take the place of ssh and of the guest, which reports a verdict. @returns variables of playbooks */
async function answering({ folder }: Stub, verdict: 'sealed' | 'failed'): Promise<Record<string, unknown>> {
  const bin = join(folder, verdict);
  const status = {
    ...{ at: new Date().toISOString(), verdict, mode: 'sealed', enforcement: 'host', host: { bootId: '1' } },
    checks: [{ id: 'disk', status: verdict === 'sealed' ? 'pass' : 'fail', severity: 'required' }],
    disks: [{ name: 'vda', bus: 'virtio-blk', hostReadOnly: true, holds: ['/'] }],
    forward: {
      target: 'relp://log',
      state: 'connected',
      error: '',
      lag: { entries: 0, seconds: 0 },
      sources: [],
    },
  };
  const agent = `echo '${JSON.stringify(status)}'; exit ${verdict === 'sealed' ? 0 : 1}`;
  await writeProgram(join(bin, 'immutafs-agent'), agent);
  await writeProgram(join(bin, 'systemctl'), 'echo running');
  const command = 'exec sh -c "$(printf %s "$argument" | sed s:/run/immutafs/report.json:/dev/null:g)"';
  const each = 'for argument; do [ "$argument" != -O ] || exit 0; done';
  const ssh = await writeProgram(join(bin, 'ssh'), `export PATH=${bin}:/usr/bin:/bin\n${each}\n${command}`);
  return { ansible_ssh_executable: ssh, immutafs_health_wait: 0 };
}

host('a run restores no snapshot of an update that it has neither begun nor continued', async (stub) => {
  const { ansible } = stub;
  const { snapshot, write, assertDisk, variables } = snapshotsOf(stub);
  const [sealed, failed] = [await answering(stub, 'sealed'), await answering(stub, 'failed')];
  const wrong = { immutafs_window: [{ from: '9', to: '10:00' }] };
  await write(1);
  await snapshot('present', changed);
  await write(2);
  await stub.expectPlays(
    [
      ['sealed', 'shut off', 'update', wrong, 2, /^stub: shut off, sealed\. FAILED: .*must be HH:MM/],
      ['sealed', 'running', 'update', failed, 2, /FAILED: Verify the guest before anything is changed/],
    ],
    variables,
  );
  await assertDisk(2, ['immutafs']);
  // The counterparts: the guest is as the update has left it, open or sealed.
  const windowOfOpen = { ...wrong, immutafs_start_timeout: 1 };
  assertPlayed(
    await playOpen(stub, { ...variables, ...windowOfOpen }),
    2,
    /The rollback failed: Wait until the guest has started/,
  );
  await assertDisk(1, []);
  await stub.virsh('destroy', 'stub');
  await snapshot('absent', changed);
  await snapshot('present', changed);
  await write(2);
  await stub.virsh('start', 'stub');
  const unhealthy = { ...variables, ...sealed, immutafs_health_commands: [['false']] };
  assertPlayed(
    await ansible.play('update', unhealthy),
    2,
    /^stub: sealed; rolled back: Run the health commands: false ended with 1/,
  );
  await assertDisk(1, []);
});

/** Runs update.yml for a guest that is shut off and open. */
async function playOpen({ ansible, expect, virsh }: Stub, variables: Record<string, unknown>) {
  await virsh('destroy', 'stub');
  await expect('disk', { readonly: false }, changed);
  return ansible.play('update', variables);
}

host(
  'a guest that is opened or sealed without a snapshot has finished the update that left one',
  async (stub) => {
    const { virsh } = stub;
    const { snapshot, write, assertDisk, variables } = snapshotsOf(stub);
    const noAnswer = /FAILED: Wait until the guest has started/;
    const open = /^stub: shut off, open\. FAILED: Create the snapshot: stub is open and has no snapshot/;
    await write(1);
    for (const [playbook, more] of [
      ['unseal', {}],
      ['update', { immutafs_rollback: false }],
    ] as const) {
      await snapshot('present', { ...changed, phase: null });
      await stub.expectPlays([['sealed', 'shut off', playbook, { ...variables, ...more }, 2, noAnswer]]);
      await virsh('destroy', 'stub');
      await snapshot('query', { phase: 'kept' });
      await write(2);
      await stub.expectPlays([['open', 'shut off', 'update', variables, 2, open]]);
      await assertDisk(2, ['immutafs']);
      await stub.expect('disk', { readonly: true }, changed);
    }
    await snapshot('present', { ...changed, phase: null });
    // Not yet, because the guest has not been sealed.
    await stub.expectPlays([['open', 'shut off', 'seal', variables, 2, noAnswer]]);
    await virsh('destroy', 'stub');
    await snapshot('query', { phase: null });
    const sealed = { ...variables, ...(await answering(stub, 'sealed')) };
    await stub.expectPlays([['sealed', 'shut off', 'seal', sealed, 0, ['stub: sealed']]]);
    await snapshot('query', { phase: 'kept' });
  },
);

host('a run that continues a rollback updates nothing, although the rollback is complete', async (stub) => {
  const { snapshot, write, assertDisk, record, variables } = snapshotsOf(stub);
  const sealed = { ...variables, ...(await answering(stub, 'sealed')) };
  const update = { ...sealed, immutafs_update_commands: [['touch', join(stub.folder, 'updated')]] };
  await write(1);
  await snapshot('present', changed);
  await write(2);
  await record({ phase: 'restoring', reason: 'a command failed' });
  const rolledBack = /^stub: sealed; rolled back: a command failed$/;
  await stub.expectPlays([['sealed', 'shut off', 'update', update, 2, rolledBack]]);
  await snapshot('query', { phase: null, taken: null });
  await assertDisk(1, []);
  assert.is(existsSync(join(stub.folder, 'updated')), false);
});

host(
  'a rollback ends once the guest has started, also if its checks failed before the update',
  async (stub) => {
    const { snapshot, record, variables } = snapshotsOf(stub);
    const failed = { ...variables, ...(await answering(stub, 'failed')), immutafs_update_failing: true };
    await record({ phase: 'restored', reason: 'a command failed' });
    const rolledBack =
      /FAILED: .*a command failed\. The rollback failed: Query the status of the sealed guest/;
    await stub.expectPlays([['sealed', 'shut off', 'update', failed, 2, rolledBack]]);
    await snapshot('query', { phase: null });
    const day = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'][(new Date().getUTCDay() + 2) % 7];
    const closed = { ...failed, immutafs_window: [{ days: [day], from: '10:00', to: '10:30' }] };
    // The update goes on.
    await stub.expectPlays([
      ['sealed', 'running', 'update', closed, 0, /not updated: outside of every window/],
    ]);
  },
);

host.run();
