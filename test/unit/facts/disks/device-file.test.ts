import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { deviceFile } from '../../../../agent/facts/disks/device-file.ts';

const devices = suite('deviceFile');
for (const [source, expected] of [
  ['/dev/vda1', '/dev/vda1'],
  ['UUID=A1-b2', '/dev/disk/by-uuid/A1-b2'],
  ['UUID="A1-b2"', '/dev/disk/by-uuid/A1-b2'],
  ['LABEL=my disk/ä', '/dev/disk/by-label/my\\x20disk\\x2fä'],
  ['PARTUUID=1', '/dev/disk/by-partuuid/1'],
  ['PARTLABEL=root', '/dev/disk/by-partlabel/root'],
  ['tmpfs', undefined],
  ['server:/dev/x', undefined],
  ['/swapfile', undefined],
] as const) {
  devices(source, () => assert.is(deviceFile(source), expected));
}
devices.run();
