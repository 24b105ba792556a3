import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseBootEnv } from '../../../../agent/facts/boot/boot-env.ts';
import { hasNoEfiRuntime } from '../../../../agent/facts/boot/kernel-arguments.ts';
import { layersOf } from '../../../../agent/facts/boot/overlays.ts';
import { persistItems } from '../../../../agent/facts/boot/kept-paths.ts';
import { readPathRecord } from '../../../../agent/facts/boot/path-records.ts';
import { bootEnv } from '../../../harness/guest.ts';
import { version } from '../../../../agent/lib/version.ts';
import { parseBootOrder, parseLoadOption, variableData } from '../../../../agent/facts/boot/firmware.ts';
import { hardDrive, loadOption } from '../../../harness/efi.ts';

const args = suite('hasNoEfiRuntime');
args('the last of noefi and efi= takes effect', () => {
  for (const words of [
    'noefi',
    'efi=noruntime',
    'efi=debug,noruntime',
    'efi=runtime noefi',
    'noefi efi=debug',
  ]) {
    assert.is(hasNoEfiRuntime(words.split(' ')), true, words);
  }
  for (const words of ['', 'efi=runtime', 'noefi efi=runtime', 'efi=old_map', 'noefi2', 'efi=noruntimes']) {
    assert.is(hasNoEfiRuntime(words.split(' ')), false, words);
  }
});
args.run();

const ofVar = {
  target: '/var',
  lower: '/run/immutafs/lower',
  upper: '/run/var/upper',
  work: '/run/var/work',
};

const layers = suite('layersOf');
layers('without a boot.env: /var, with no state', () =>
  assert.equal(layersOf(undefined), [{ ...ofVar, state: '' }]),
);
layers('/var first, then the targets of late boot; the last line of a target takes effect', () => {
  const late = 'LAYER=/var/log begun\nLAYER=/var/lib/my data overlay\nLAYER=/var/log overlay\nLAYER=none\n';
  const below = (target: string, name: string) => ({
    ...{ target, state: 'overlay', lower: `/run/immutafs/below/${name}` },
    ...{ upper: `/run/var/below/${name}/upper`, work: `/run/var/below/${name}/work` },
  });
  assert.equal(layersOf(parseBootEnv(bootEnv({ VAR: 'overlay' }) + late)), [
    { ...ofVar, state: 'overlay' },
    below('/var/log', 'var+log'),
    below('/var/lib/my data', 'var+lib+my data'),
  ]);
});
layers('"+" in a name is encoded, because "+" replaces "/"', () => {
  const names = layersOf(parseBootEnv(`${bootEnv()}LAYER=/var/a+b overlay\nLAYER=/var/a/b overlay\n`));
  assert.equal(
    names.slice(1).map(({ upper }) => upper),
    ['/run/var/below/var+a%2bb/upper', '/run/var/below/var+a+b/upper'],
  );
});
layers.run();

const persist = suite('PERSIST');

persist('items, of which the first one with a path counts', () => {
  assert.equal(persistItems({ PERSIST: ' /a/b:exec,dev  /c /a/b' }), [
    { path: '/a/b', options: ['exec', 'dev'] },
    { path: '/c', options: [] },
  ]);
  assert.equal(persistItems({ PERSIST: '' }), []);
});

persist('records', () => {
  const record = (text: string) => readPathRecord({ readRecord: () => text }, '/r', ['kept', 'failed']);
  assert.equal(record('STATE=failed\nREASON=a=b\nREMEDY=c\n'), {
    state: 'failed',
    reason: 'a=b',
    remedy: 'c',
  });
  assert.equal(record('STATE=kept\nREASON=\nREMEDY=\n'), { state: 'kept', reason: '', remedy: '' });
  for (const bad of ['', 'STATE=x\nREASON=\nREMEDY=\n', 'STATE=kept\n', 'STATE=kept\nREASON=\nREMEDY=\nX=\n'])
    assert.throws(() => record(bad), /^\/r: not a record/);
});

persist.run();

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

const variables = suite('EFI variables');
const guid = '0f5a1c2d-3344-4566-8899-aabbccddeeff';

variables('the attributes are left out', () => {
  assert.equal(variableData('\x07\0\0\0\x01\0'), Buffer.from([1, 0]));
  assert.throws(() => variableData('\x07\0\0'), /3 bytes has no attributes/);
});

variables('a boot order', () => {
  assert.equal(parseBootOrder(Buffer.from([1, 0, 0x0a, 0x20])), ['0001', '200A']);
  assert.equal(parseBootOrder(Buffer.alloc(0)), []);
  assert.throws(() => parseBootOrder(Buffer.alloc(3)), /odd/);
});

variables('an entry of efibootmgr for a partition of a GPT', () => {
  // Written by efibootmgr -c -d /dev/vdb -p 1 -L evil -l '\EFI\BOOT\BOOTX64.EFI'
  const bytes = Buffer.from(
    '010000006200' +
      '6500760069006c000000' +
      '04012a0001000000' +
      '0008000000000000' +
      '0000020000000000' +
      '2d1c5a0f4433664588' +
      '99aabbccddeeff' +
      '0202' +
      '04043400' +
      Buffer.from('\\EFI\\BOOT\\BOOTX64.EFI\0', 'utf16le').toString('hex') +
      '7fff0400',
    'hex',
  );
  bytes.writeUInt16LE(bytes.length - 16, 4);
  assert.equal(parseLoadOption(bytes), { active: true, description: 'evil', partition: guid });
});

variables('a partition of an MBR', () => {
  const node = hardDrive({ mbr: 0x1a2b3c4d, number: 2 });
  assert.is(parseLoadOption(loadOption('mbr', [node])).partition, '1a2b3c4d-02');
});

variables('an HD() node after other nodes; an inactive entry; an entry without a partition', () => {
  const pci = Buffer.from([1, 1, 6, 0, 0, 2]);
  const both = loadOption('x', [pci, hardDrive({ gpt: guid })], { active: false });
  assert.equal(parseLoadOption(both), { active: false, description: 'x', partition: guid });
  assert.is(parseLoadOption(loadOption('UEFI Misc Device', [pci])).partition, undefined);
  assert.is(parseLoadOption(loadOption('nothing', [])).partition, undefined);
});

variables('nodes after the end of a device path are ignored', () => {
  const end = Buffer.from([0x7f, 0xff, 4, 0]);
  assert.is(parseLoadOption(loadOption('x', [end, hardDrive({ gpt: guid })])).partition, undefined);
});

const whole = loadOption('x', [hardDrive({ gpt: guid })]);
for (const [title, bytes, said] of [
  ['empty', Buffer.alloc(0), /0 bytes/],
  ['no end of the description', Buffer.from([1, 0, 0, 0, 0, 0, 65, 0]), /unterminated description/],
  ['cut off', whole.subarray(0, whole.length - 1), /truncated device path/],
  ['a node of length 0', loadOption('x', [Buffer.from([1, 1, 0, 0])]), /node .* is too short: 0 bytes/],
  [
    'an HD() that is too short',
    loadOption('x', [Buffer.from([4, 1, 6, 0, 0, 0])]),
    /HD\(\) node .* is too short: 6/,
  ],
] as const) {
  variables(`malformed: ${title}`, () => assert.throws(() => parseLoadOption(bytes), said));
}

variables('any bytes: an error, or a partition of the right form', () => {
  for (let seed = 1; seed < 3000; seed++) {
    const bytes = Buffer.from(whole);
    bytes[(seed * 7919) % bytes.length] = (seed * 104729) % 256;
    try {
      const { partition } = parseLoadOption(
        bytes.subarray(0, seed % 3 === 0 ? seed % bytes.length : undefined),
      );
      assert.ok(partition === undefined || /^[0-9a-f-]{11,36}$/.test(partition), partition);
    } catch (error) {
      assert.match((error as Error).message, /^an? (EFI boot entry|node of an EFI device path|HD\(\) node)/);
    }
  }
});

variables.run();
