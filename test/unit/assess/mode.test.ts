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
for (const [title, requested, record, disks, mode, reason] of [
  ['boot.env: sealed', 'auto', boot('sealed'), sealedDisk, 'sealed', 'boot: sealed'],
  ['boot.env: sealed, on a writable disk', 'sealed', boot('sealed'), writable, 'sealed', 'boot: sealed'],
  [
    'boot.env: maintenance, on a writable disk',
    'auto',
    boot('maintenance'),
    writable,
    'maintenance',
    'boot: maintenance',
  ],
  ['boot.env: off, as requested', 'off', boot('off'), sealedDisk, 'off', 'boot: off'],
  ['boot.env: off, but not requested', 'auto', boot('off'), sealedDisk, 'sealed', 'disk vda is read-only'],
  [
    'boot.env: maintenance, but the disk is read-only',
    'auto',
    boot('maintenance'),
    sealedDisk,
    'sealed',
    'disk vda is read-only',
  ],
  [
    'boot.env: maintenance, but the disk is read-only, with MODE=off',
    'off',
    boot('maintenance'),
    sealedDisk,
    'sealed',
    'disk vda is read-only',
  ],
  ['no boot.env: a read-only disk', 'auto', none, sealedDisk, 'sealed', 'disk vda is read-only'],
  ['no boot.env: a writable disk', 'auto', none, writable, 'maintenance', 'no disk under / is read-only'],
  [
    'no boot.env: another disk is read-only',
    'auto',
    none,
    onlyData,
    'maintenance',
    'no disk under / is read-only',
  ],
  ['no boot.env: MODE=sealed', 'sealed', none, writable, 'sealed', 'MODE or kernel argument: sealed'],
  ['no boot.env: MODE=off', 'off', none, sealedDisk, 'off', 'MODE or kernel argument: off'],
  ['boot.env cannot be read', 'auto', blind, sealedDisk, 'sealed', 'disk vda is read-only'],
  ['the disks cannot be read', 'auto', boot('maintenance'), blind, 'sealed', 'the disks cannot be read'],
  ['the disks cannot be read, with MODE=off', 'off', boot('off'), blind, 'off', 'boot: off'],
] as const) {
  decided(title, () => {
    assert.equal(decideMode(requested, record, disks), { mode, reason, forced: requested === 'sealed' });
  });
}

const impostor = { target: '/', device: '/dev/vdb2', sealedDevice: '/dev/vda2', identity: 'UUID=1' };
const copied = 'meant to be sealed, but / is on /dev/vdb2, a copy of /dev/vda2';
for (const [title, requested, record, disks, mode, reason] of [
  ['boot.env: maintenance', 'auto', boot('maintenance'), writable, 'sealed', copied],
  ['boot.env: sealed', 'auto', boot('sealed'), writable, 'sealed', copied],
  ['no boot.env', 'auto', none, writable, 'sealed', copied],
  ['boot.env cannot be read', 'auto', blind, writable, 'sealed', copied],
  ['MODE=sealed', 'sealed', boot('sealed'), writable, 'sealed', copied],
  ['boot.env: maintenance, with MODE=off', 'off', boot('maintenance'), writable, 'sealed', copied],
  ['boot.env: off, but not requested', 'auto', boot('off'), writable, 'sealed', copied],
  ['boot.env: off, as requested', 'off', boot('off'), writable, 'off', 'boot: off'],
  ['no boot.env, with MODE=off', 'off', none, writable, 'off', 'MODE or kernel argument: off'],
] as const) {
  decided(`/ is on an impostor: ${title}`, () => {
    assert.equal(decideMode(requested, record, disks, impostor), {
      mode,
      reason,
      forced: requested === 'sealed',
    });
  });
}
const inRehearsal = (changes: Record<string, string>) => ({
  value: parseBootEnv(bootEnv({ REASON: 'rehearsal', REHEARSAL: '60', ...changes })),
});
for (const [title, requested, record, disks, expected] of [
  [
    'a writable disk',
    'auto',
    inRehearsal({}),
    writable,
    { mode: 'sealed', reason: 'rehearsal', forced: true, rehearsal: { limitSeconds: 60 } },
  ],
  [
    'a disk that the host made read-only: boot.env is wrong',
    'auto',
    inRehearsal({}),
    sealedDisk,
    { mode: 'sealed', reason: 'rehearsal', forced: false },
  ],
  [
    'not in mode maintenance',
    'auto',
    inRehearsal({ MODE: 'maintenance' }),
    writable,
    { mode: 'maintenance', reason: 'rehearsal', forced: false },
  ],
] as const) {
  decided(`rehearsal: ${title}`, () => assert.equal(decideMode(requested, record, disks), expected));
}
decided.run();
