import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseBootEnv } from '../../../agent/facts/boot/boot-env.ts';
import { decideMode } from '../../../agent/assess/mode.ts';
import { bootEnv } from '../../harness/guest.ts';

const disk = (readOnly: boolean, holds = ['/']) => ({
  name: 'vda',
  bus: 'virtio-blk',
  readOnly,
  hostReadOnly: readOnly,
  evidence: 'virtio feature',
  holds,
});
const boot = (mode: string) => ({ value: parseBootEnv(bootEnv({ MODE: mode, REASON: `boot: ${mode}` })) });
const none = { value: undefined };
const blind = { error: 'no such file', code: 'ENOENT' };
const sealedDisk = { value: [disk(true)] };
const writable = { value: [disk(false)] };
const onlyData = { value: [disk(false), { ...disk(true, ['/srv']), name: 'vdb' }] };

const decided = suite('decideMode');
for (const [title, intent, handoff, disks, mode, reason] of [
  ['the boot sealed', 'auto', boot('sealed'), sealedDisk, 'sealed', 'boot: sealed'],
  ['the boot sealed a writable disk', 'sealed', boot('sealed'), writable, 'sealed', 'boot: sealed'],
  ['the boot saw a writable disk', 'auto', boot('maintenance'), writable, 'maintenance', 'boot: maintenance'],
  ['the boot was told off', 'off', boot('off'), sealedDisk, 'off', 'boot: off'],
  [
    'off is said of the boot, but nobody asked for it',
    'auto',
    boot('off'),
    sealedDisk,
    'sealed',
    'disk vda is read-only',
  ],
  [
    'maintenance is said of it, but the disk is read-only',
    'auto',
    boot('maintenance'),
    sealedDisk,
    'sealed',
    'disk vda is read-only',
  ],
  [
    'maintenance is said of it, with MODE=off',
    'off',
    boot('maintenance'),
    sealedDisk,
    'sealed',
    'disk vda is read-only',
  ],
  ['nothing is said: a read-only disk', 'auto', none, sealedDisk, 'sealed', 'disk vda is read-only'],
  ['nothing is said: a writable disk', 'auto', none, writable, 'maintenance', 'no disk under / is read-only'],
  [
    'nothing is said: another disk is read-only',
    'auto',
    none,
    onlyData,
    'maintenance',
    'no disk under / is read-only',
  ],
  ['nothing is said: MODE=sealed', 'sealed', none, writable, 'sealed', 'MODE or kernel argument: sealed'],
  ['nothing is said: MODE=off', 'off', none, sealedDisk, 'off', 'MODE or kernel argument: off'],
  ['what is said is damaged', 'auto', blind, sealedDisk, 'sealed', 'disk vda is read-only'],
  ['the disks cannot be seen', 'auto', boot('maintenance'), blind, 'sealed', 'the disks cannot be read'],
  ['nor need they be', 'off', boot('off'), blind, 'off', 'boot: off'],
] as const) {
  decided(title, () => {
    assert.equal(decideMode(intent, handoff, disks), { mode, reason, forced: intent === 'sealed' });
  });
}

const impostor = { target: '/', device: '/dev/vdb2', sealedDevice: '/dev/vda2', identity: 'UUID=1' };
const copied = 'meant to be sealed, but / is on /dev/vdb2, a copy of /dev/vda2';
for (const [title, intent, handoff, disks, mode, reason] of [
  ['maintenance is said', 'auto', boot('maintenance'), writable, 'sealed', copied],
  ['sealed is said', 'auto', boot('sealed'), writable, 'sealed', copied],
  ['nothing is said', 'auto', none, writable, 'sealed', copied],
  ['what is said is damaged', 'auto', blind, writable, 'sealed', copied],
  ['MODE=sealed', 'sealed', boot('sealed'), writable, 'sealed', copied],
  ['maintenance is said, with MODE=off', 'off', boot('maintenance'), writable, 'sealed', copied],
  ['off is said, but nobody asked for it', 'auto', boot('off'), writable, 'sealed', copied],
  ['off', 'off', boot('off'), writable, 'off', 'boot: off'],
  ['nothing is said, with MODE=off', 'off', none, writable, 'off', 'MODE or kernel argument: off'],
] as const) {
  decided(`/ is on an impostor: ${title}`, () => {
    assert.equal(decideMode(intent, handoff, disks, impostor), { mode, reason, forced: intent === 'sealed' });
  });
}
decided.run();
