import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Guest } from '../../../harness/guest.ts';
import { ordinaryGuest } from '../../../harness/ordinary-guest.ts';
import { planOf } from '../../../harness/planned.ts';
import { tableOf } from '../../../harness/step-table.ts';

const link = '/dev/disk/by-id/virtio-spare';
const program = '/usr/libexec/immutafs/immutafs-boot';

interface Different {
  /** What immutafs-boot prints for `scratch-check` and `scratch-examine`, without and with `wipe`; undefined: it agrees. */
  check?: string;
  examine?: string;
  wiped?: string;
  conf?: string;
  links?: string[];
}

function guestOf({ check, examine, wiped, conf = '', links }: Different): Guest {
  const guest = ordinaryGuest();
  guest.files['etc/immutafs/immutafs.conf'] = conf;
  guest.files['dev/vdb'] = '';
  for (const name of links ?? ['virtio-spare', 'dm-name-x', 'lvm-pv-uuid-x'])
    guest.files[`dev/disk/by-id/${name}`] = { linkTo: '../../vdb' };
  guest.answers.run = (called, [command, device, wipe]) => {
    if (called.endsWith('blkid'))
      return { stdout: 'DEVNAME=/dev/vdb\nTYPE=ext4\nLABEL=old\n', ended: 'good' };
    assert.equal([called, device], [program, link]);
    const answer = command === 'scratch-check' ? check : wipe === 'wipe' ? wiped : examine;
    return { stdout: answer ?? '', ended: answer === undefined ? 'good' : 'bad' };
  };
  return guest;
}

const unmarked = { check: 'REASON=/dev/vdb has no mark\nREMEDY=Mark it\n' };
const content =
  'REASON=/dev/vdb has other data: byte 1080\nREMEDY=If its content is not needed, add --wipe\n';
const withContent = { ...unmarked, examine: content };
const used = 'REASON=/dev/vdb is mounted\nREMEDY=Name another device, or unmount it.\n';
const conf = `SCRATCH=/var/cache/a\nSCRATCH_DEVICE=${link}\n`;
const scratchDevice = '/dev/vdb';
const edit = `edit /etc/immutafs/immutafs.conf: SCRATCH_DEVICE=${link}`;
tableOf(guestOf)('prepare: scratch', 'scratch', {
  'needed: a blank device is marked by the name that the host gives it, which the configuration gets': [
    unmarked,
    { scratchDevice },
    /every sealed boot of this guest formats it.*TYPE=ext4 LABEL=old/,
    [`${program} scratch-mark ${link}`, edit],
  ],
  'blocked: a device with content': [
    withContent,
    { scratchDevice },
    /has other data: byte 1080\. .*--wipe\. blkid finds on .*: TYPE=ext4 LABEL=old\./,
  ],
  'blocked: a device with content, with --wipe of another one': [
    withContent,
    { scratchDevice, wipe: '/dev/vdc' },
  ],
  'needed: a device with content is erased with --wipe of this device': [
    withContent,
    { scratchDevice, wipe: scratchDevice },
    /Its content will be erased\./,
    [`${program} scratch-mark ${link} wipe`, edit],
  ],
  'blocked: a device in use, also with --wipe': [
    { check: used, wiped: used },
    { scratchDevice: link, wipe: link },
    /\/dev\/vdb is mounted\. Name another device, or unmount it\. /,
  ],
  'done: a marked device': [{ conf }],
  'blocked: the twin: a device without its mark': [{ ...unmarked, conf }],
  'needed: a device without its mark that --scratch-device names': [
    { ...unmarked, conf },
    { scratchDevice: link },
    [`${program} scratch-mark ${link}`],
  ],
  'blocked: a disk to which the host gave no name': [{ links: ['dm-name-x'] }, { scratchDevice }, /serial/],
  'blocked: a name that root can choose': [
    { links: ['dm-name-x'] },
    { scratchDevice: '/dev/disk/by-id/dm-name-x' },
    /serial/,
  ],
  'by hand: SCRATCH without a device is in memory': [{ conf: 'SCRATCH=/var/cache/a\n' }],
});

const scratch = suite('prepare: no scratch');
scratch('a guest without SCRATCH does not have the step', async () => {
  const { steps } = await planOf(ordinaryGuest());
  assert.not(steps.some(({ id }) => id === 'scratch'));
});
scratch.run();
