import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { callPlugin } from '../../harness/collection.ts';
import marks from '../../fixtures/scratch-marks.json' with { type: 'json' };

const mark = suite('the mark that the collection writes on a disk for SCRATCH');
const markOf = (machine: string, device: string) =>
  callPlugin('module_utils.scratch_mark', 'mark_of', machine, device);

for (const { machine, device, mark: wanted } of marks) {
  mark(`${JSON.stringify(machine)}, ${JSON.stringify(device)}: as boot/scratch/mark.ts writes it`, () => {
    if (wanted === null) assert.throws(() => markOf(machine, device), /cannot be part of a mark/);
    else assert.is(markOf(machine, device), wanted);
  });
}

mark('the UUID is in lower case, as the guest reads it', () => {
  assert.match(
    markOf('6B2D0C1E-0001-4C1B-9D7E-0123456789AB', '/x') as string,
    /6b2d0c1e-0001-4c1b-9d7e-0123456789ab/,
  );
});

const uuid = '6b2d0c1e-0001-4c1b-9d7e-0123456789ab';
const qemu = "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'";
for (const [title, xml, wanted] of [
  ['the UUID of the domain', `<os/>`, uuid],
  ['tables of the domain', `<os><smbios mode='sysinfo'/></os>`, uuid],
  ['tables of QEMU', `<os><smbios mode='emulate'/></os>`, uuid],
  ['tables of the host', `<os><smbios mode='host'/></os>`, null],
  [
    'a UUID on the command line of QEMU',
    `<qemu:commandline ${qemu}><qemu:arg value='-uuid'/><qemu:arg value='x'/></qemu:commandline>`,
    null,
  ],
  [
    'tables on the command line of QEMU',
    `<qemu:commandline ${qemu}><qemu:arg value='-smbios'/><qemu:arg value='type=1'/></qemu:commandline>`,
    null,
  ],
  [
    'another argument for QEMU',
    `<qemu:commandline ${qemu}><qemu:arg value='-no-hpet'/></qemu:commandline>`,
    uuid,
  ],
] as const) {
  mark(`${title}: ${wanted === null ? 'not known to the host' : 'known to the host'}`, () => {
    const domain = `<domain><uuid>${uuid.toUpperCase()}</uuid>${xml}</domain>`;
    assert.is(callPlugin('module_utils.scratch_mark', 'machine_of', domain), wanted);
  });
}

mark.run();
