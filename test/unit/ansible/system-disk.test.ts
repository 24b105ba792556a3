import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { callPlugin } from '../../harness/collection.ts';

/** Tests which disk of a domain is the system disk (ansible/plugins/module_utils/domain_xml.py). */
const disks = suite('the system disk of a domain');

const disk = (target: string, more = '', device = 'disk') =>
  `<disk device='${device}'><target dev='${target}'/>${more}</disk>`;
const call = (name: string, ...found: string[]) =>
  callPlugin('module_utils.domain_xml', name, {
    xml: `<domain><devices>${found.join('')}</devices></domain>`,
  });
const first = "<boot order='1'/>";

for (const [title, found, target] of [
  ['boot order 1, not the first disk', [disk('vda'), disk('vdb', first)], 'vdb'],
  ['boot order 2 alone: the first disk', [disk('vda'), disk('vdb', "<boot order='2'/>")], 'vda'],
  ['a CD with boot order 1', [disk('vda'), disk('sda', first, 'cdrom')], 'sda'],
  ['a CD without boot order before the disk', [disk('sda', '', 'cdrom'), disk('vda')], 'vda'],
  ['a disk without a device attribute', ["<disk><target dev='vdc'/></disk>"], 'vdc'],
  ['no disk', [], null],
] as const) {
  disks(title, () => assert.is(call('system_disk', ...found), target));
}

disks('the targets: no CD-ROM drive, no floppy drive, no disk without a target', () => {
  const found = [
    disk('sda', '', 'cdrom'),
    disk('fda', '', 'floppy'),
    '<disk/>',
    disk('vda'),
    disk('sdb', '', 'lun'),
  ];
  assert.equal(call('targets_of', ...found), ['vda', 'sdb']);
});

disks.run();
