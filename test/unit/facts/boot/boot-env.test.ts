import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseBootEnv } from '../../../../agent/facts/boot/boot-env.ts';
import { version } from '../../../../agent/lib/version.ts';
import { bootEnv } from '../../../harness/guest.ts';

const parsing = suite('parseBootEnv');

parsing('the record of the initramfs', () => {
  const read = parseBootEnv(bootEnv());
  assert.equal(read, {
    ...read,
    version,
    stage: 'initramfs',
    uptime: 3.14,
    mode: 'sealed',
    reason: 'disk vda is read-only (virtio-feature)',
    disks: 'vda:1:virtio-feature',
    var: 'overlay',
    errors: [],
    warnings: [],
    layers: [],
    overlays: [],
    impostors: [],
  });
});

parsing('the device of the file system of the initramfs', () => {
  assert.is(parseBootEnv(bootEnv({ INITRAMFS: '0:2' })).initramfs, '0:2');
  assert.is(parseBootEnv(bootEnv()).initramfs, undefined);
  assert.throws(() => parseBootEnv(bootEnv({ INITRAMFS: 'x' })), /INITRAMFS=x is not a device number/);
});

parsing('impostors that the boot ignored, in the order of the lines', () => {
  const { impostors } = parseBootEnv(
    `${bootEnv()}IMPOSTOR=/dev/vdb2 /dev/vda2 UUID=1f5a\nIMPOSTOR=/dev/vdb1 /dev/vda1 LABEL=my root\n`,
  );
  assert.equal(impostors, [
    { device: '/dev/vdb2', sealedDevice: '/dev/vda2', identity: 'UUID=1f5a' },
    { device: '/dev/vdb1', sealedDevice: '/dev/vda1', identity: 'LABEL=my root' },
  ]);
});

parsing('the seed: the last record, and the seeds that were ignored', () => {
  const sha256 = 'ab'.repeat(32);
  const late = `SEED=begun\nSEED_IGNORED=vdb vdb:0:none\nSEED=accepted sr0 ${sha256} sr0:1:cd-rom\n`;
  const { seed, ignoredSeeds } = parseBootEnv(bootEnv() + late);
  assert.equal(seed, { state: 'accepted', device: 'sr0', sha256 });
  assert.equal(ignoredSeeds, [{ device: 'vdb', disks: 'vdb:0:none' }]);
  assert.is(parseBootEnv(bootEnv()).seed, undefined);
  assert.equal(parseBootEnv(bootEnv({ SEED: 'none' })).seed, { state: 'none' });
  assert.equal(parseBootEnv(bootEnv({ SEED: 'refused two of them' })).seed, {
    state: 'refused',
    reason: 'two of them',
  });
  for (const record of [
    'x',
    'refused',
    'accepted sr0',
    `accepted sr0 ${sha256}`,
    `accepted sr0 ${sha256}0 x`,
  ]) {
    assert.throws(() => parseBootEnv(bootEnv({ SEED: record })), /SEED=.* does not have the form/, record);
  }
  assert.throws(() => parseBootEnv(bootEnv({ SEED_IGNORED: 'vdb' })), /form DEVICE DISKS/);
});

parsing('late boot appends: the last line of a key counts, lists grow, equal errors are listed once', () => {
  const late =
    'WARNING=one\nLAYER=/var overlay\nVAR=overlay\nSTAGE=late\nLAYER=/var/log failed\nERROR=/var/log: no\nERROR=/var/log: no\nWARNING=two=2\n';
  const { stage, var: state, layers, errors, warnings } = parseBootEnv(bootEnv({ VAR: 'deferred' }) + late);
  assert.equal([stage, state], ['late', 'overlay']);
  assert.equal(layers, ['/var overlay', '/var/log failed']);
  assert.equal(errors, ['/var/log: no']);
  assert.equal(warnings, ['one', 'two=2']);
});

parsing('OVERLAY: the last record of each path, in the order of the first records', () => {
  const late =
    'OVERLAY=/opt deferred\nOVERLAY=/usr refused no, not /usr\nOVERLAY=/opt begun\nOVERLAY=/opt overlay\n';
  assert.equal(parseBootEnv(bootEnv() + late).overlays, [
    { target: '/opt', state: 'overlay', reason: '' },
    { target: '/usr', state: 'refused', reason: 'no, not /usr' },
  ]);
});

for (const [value, message] of [
  ['/opt', 'does not have the form PATH STATE REASON'],
  ['opt overlay', 'does not have the form PATH STATE REASON'],
  ['/opt mounted', 'OVERLAY=mounted is not one of overlay, deferred'],
] as const) {
  parsing(`OVERLAY=${value} is malformed`, () =>
    assert.throws(() => parseBootEnv(`${bootEnv()}OVERLAY=${value}\n`), new RegExp(message)),
  );
}

parsing('an empty value, and one with an equals sign', () => {
  const { disks, reason } = parseBootEnv(bootEnv({ DISKS: '', REASON: 'MODE=sealed' }));
  assert.equal([disks, reason], ['', 'MODE=sealed']);
});

for (const [title, text, message] of [
  ['nothing', '', 'VERSION is missing'],
  ['no mode', bootEnv({ MODE: undefined }), 'MODE is missing'],
  ['an unknown mode', bootEnv({ MODE: 'auto' }), 'MODE=auto is not one of sealed, maintenance, off'],
  ['an unknown stage', bootEnv({ STAGE: 'early' }), 'STAGE=early is not one of initramfs, late'],
  [
    'an unknown outcome',
    bootEnv({ VAR: 'tmpfs' }),
    'VAR=tmpfs is not one of overlay, disk, deferred, failed',
  ],
  [
    'an impostor without its identity',
    bootEnv({ IMPOSTOR: '/dev/vdb2 /dev/vda2' }),
    'IMPOSTOR=/dev/vdb2 /dev/vda2 does not have the form DEVICE SEALED-DEVICE IDENTITY',
  ],
  ['a line without KEY=', `${bootEnv()}hello\n`, 'malformed line, expected KEY=value: hello'],
] as const) {
  parsing(`refused: ${title}`, () => {
    assert.throws(
      () => parseBootEnv(text),
      (error: unknown) => error instanceof Error && error.message === `/run/immutafs/boot.env: ${message}`,
    );
  });
}
parsing.run();
