import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { gatherFacts } from '../../../agent/facts/facts.ts';
import { SystemError } from '../../../agent/lib/errors.ts';
import { device } from '../../harness/copies.ts';
import { el7Guest } from '../../harness/el7-guest.ts';
import { goodGuest, withGuest } from '../../harness/guest.ts';

const cost = suite('gatherFacts');
for (const [title, kernelLog] of Object.entries<() => string[]>({
  'the kernel’s log is read once for several disks': () => [],
  'the kernel’s log is read once, even if it cannot be read': () => {
    throw new SystemError('/dev/kmsg: operation not permitted', 'EPERM');
  },
})) {
  cost(title, async () => {
    const guest = goodGuest();
    for (const name of ['sda', 'sdb', 'sdc']) {
      const number = `8:${16 * (name.charCodeAt(2) - 97)}`;
      device({ name, device: number, bus: 'virtio-scsi', readOnly: true })(guest);
    }
    guest.files['etc/fstab'] = '/dev/sda /a xfs noauto,ro 0 0\n/dev/sdb /b xfs noauto,ro 0 0\n';
    let reads = 0;
    const disks = await withGuest(guest, async (reader) => {
      const counted = () => {
        reads += 1;
        return kernelLog();
      };
      const { blockDevices } = await gatherFacts({ ...reader, kernelLog: counted });
      return 'value' in blockDevices ? blockDevices.value : [];
    });
    assert.is(reads, 1);
    assert.is(disks.find(({ name }) => name === 'sda')?.hostReadOnly, null);
  });
}
cost('no child process', async () => {
  const programs: string[] = [];
  await withGuest(el7Guest('clone-second'), async (reader) => {
    const run = (program: string, args: readonly string[]) => {
      programs.push(program);
      return reader.run(program, args);
    };
    const probe: typeof reader.probe = (kinds, target) => {
      programs.push('probe');
      return reader.probe(kinds, target);
    };
    await gatherFacts({ ...reader, run, probe });
  });
  assert.equal(programs, []);
});
cost.run();
