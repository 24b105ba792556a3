import * as assert from 'uvu/assert';
import { suite } from 'uvu';
import { mountTable } from '../../../../../agent/facts/mounts/mountinfo.ts';
import {
  findForeignPrograms,
  findSealedDevices,
} from '../../../../../agent/facts/security/programs/foreign-programs.ts';
import { type SystemReader, systemReader } from '../../../../../agent/system/reader.ts';
import type { BlockDevice } from '../../../../../agent/facts/disks/block-devices.ts';

const programs = suite('foreign programs');
const { pid } = process;
const executable = '/nonexistent/program';

for (const [what, link, threads, paths] of [
  ['has exited', undefined, [], []],
  ['is still there', executable, [], [executable]],
  ['has exited except for its other threads', undefined, [`${pid + 1}`], [executable]],
] as const) {
  programs(`a process of whose executable nothing was mapped, which ${what}`, async () => {
    const real = systemReader();
    const reader: SystemReader = {
      ...real,
      processes: {
        ...real.processes,
        list: () => [pid],
        mappedFiles: () =>
          Promise.resolve({
            groups: [{ executable, mapped: [], pids: [pid] }],
            ...{ addresses: new Map(), unreadable: new Map(), rest: [], memory: new Set() },
          }),
        link: (_, name) => (name === 'exe' ? link : 'mnt:[1]'),
        statOf: () => undefined,
        threadsOf: () => [...threads],
      },
    };
    const mounts = mountTable(reader.read('/proc/self/mountinfo'));
    const { list } = await findForeignPrograms(reader, mounts, { sealed: new Set(), allowed: [] });
    assert.equal(
      list.map(({ path }) => path),
      paths,
    );
  });
}

programs.run();

const device = (
  name: string,
  number: string,
  hostReadOnly: boolean | null,
  members: string[] = [],
): BlockDevice => ({
  name,
  device: number,
  file: `/dev/${name}`,
  stack: [name],
  disks: [],
  serials: [],
  hostReadOnly,
  tags: [],
  members,
  content: '',
  volumeGroup: undefined,
  partition: undefined,
});
const btrfs = mountTable(
  '1 0 0:50 /root / ro - btrfs /dev/vda1 ro\n2 1 0:51 / /home rw - btrfs /dev/vdb rw\n',
);

const sealed = suite('devices of sealed disks');
sealed('only those of which the host made every disk read-only, even if nothing is mounted', () => {
  const devices = [device('vda1', '252:1', true), device('vdb', '252:16', false), device('sda', '8:0', null)];
  assert.equal([...findSealedDevices(btrfs, devices)], ['252:1', '0:50']);
});
sealed('a Btrfs with a member on a writable disk is not sealed', () => {
  const members = ['vda1', 'vdb'];
  const devices = [device('vda1', '252:1', true, members), device('vdb', '252:16', false, members)];
  assert.equal([...findSealedDevices(btrfs, devices)], ['252:1']);
  const both = devices.map((each) => ({ ...each, hostReadOnly: true }));
  assert.equal([...findSealedDevices(btrfs, both)], ['252:1', '252:16', '0:50', '0:51']);
});
sealed.run();
