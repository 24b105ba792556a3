import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseBootOrder, parseLoadOption, variableData } from '../../../../agent/facts/boot/firmware.ts';
import { hardDrive, loadOption } from '../../../harness/efi.ts';

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
