import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { BlockDevice } from '../../../../../agent/facts/disks/block-devices.ts';
import { mountTable } from '../../../../../agent/facts/mounts/mountinfo.ts';
import { findSealedDevices } from '../../../../../agent/facts/security/programs/sealed-devices.ts';

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
