import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Settings } from '../../../../agent/prepare/engine/step.ts';
import { ordinaryGuest } from '../../../harness/ordinary-guest.ts';
import { planOf, planned } from '../../../harness/planned.ts';

const scratch = suite('prepare: scratch');
const link = '/dev/disk/by-id/virtio-spare';
const program = '/usr/libexec/immutafs/open-scratch';
const noMark = 'REASON=/dev/vdb has no mark\nREMEDY=Mark it\n';
const content =
  'REASON=/dev/vdb has other data: byte 1080\nREMEDY=If its content is not needed, add --wipe\n';

/** Plans the step. @param answers what open-scratch prints for `check` and `examine`; undefined: it agrees */
async function step(
  settings: Partial<Settings>,
  answers: { check?: string; examine?: string; wiped?: string },
  { conf = '', links = ['virtio-spare', 'dm-name-x', 'lvm-pv-uuid-x'] } = {},
) {
  const guest = ordinaryGuest();
  guest.files['etc/immutafs/immutafs.conf'] = conf;
  guest.files['dev/vdb'] = '';
  for (const name of links) guest.files[`dev/disk/by-id/${name}`] = { linkTo: '../../vdb' };
  guest.answers.run = (called, args) => {
    if (called.endsWith('blkid'))
      return { stdout: 'DEVNAME=/dev/vdb\nTYPE=ext4\nLABEL=old\n', ended: 'good' };
    assert.is(called, program);
    assert.is(args[1], link);
    const answer = args[0] === 'check' ? answers.check : args[2] === 'wipe' ? answers.wiped : answers.examine;
    return { stdout: answer ?? '', ended: answer === undefined ? 'good' : 'bad' };
  };
  const { state, why, actions } = await planned(guest, 'scratch', { settings });
  return {
    state,
    why: why.join(' '),
    actions: actions.map((each) => (each.do === 'run' ? each.args : each.do)),
    edits: actions.flatMap((each) => (each.do === 'edit' ? [each.after] : [])),
  };
}

scratch('a guest without SCRATCH does not have the step', async () => {
  const { steps } = await planOf(ordinaryGuest());
  assert.not(steps.some(({ id }) => id === 'scratch'));
});

scratch(
  'a blank device: it is marked by the name that the host gives it, which the configuration gets',
  async () => {
    const { state, why, actions, edits } = await step({ scratchDevice: '/dev/vdb' }, { check: noMark });
    assert.is(state, 'needed');
    assert.match(why, 'every sealed boot of this guest formats it');
    assert.match(why, 'TYPE=ext4 LABEL=old');
    assert.equal(actions, [['mark', link], 'edit']);
    assert.equal(edits, [`SCRATCH_DEVICE=${link}\n`]);
  },
);

scratch(
  'a device with content: blocked, with what it is; with --wipe of this device, it is erased',
  async () => {
    const answers = { check: noMark, examine: content };
    const blocked = await step({ scratchDevice: '/dev/vdb' }, answers);
    assert.is(blocked.state, 'blocked');
    assert.match(
      blocked.why,
      /has other data: byte 1080\. .*--wipe\. blkid finds on .*: TYPE=ext4 LABEL=old\./,
    );
    assert.equal(blocked.actions, []);
    const other = await step({ scratchDevice: '/dev/vdb', wipe: '/dev/vdc' }, answers);
    assert.is(other.state, 'blocked');
    const wiped = await step({ scratchDevice: '/dev/vdb', wipe: '/dev/vdb' }, answers);
    assert.is(wiped.state, 'needed');
    assert.match(wiped.why, 'Its content will be erased.');
    assert.equal(wiped.actions, [['mark', link, 'wipe'], 'edit']);
  },
);

scratch('a device in use is not marked, also with --wipe', async () => {
  const used = 'REASON=/dev/vdb is mounted\nREMEDY=Name another device, or unmount it.\n';
  const found = await step({ scratchDevice: link, wipe: link }, { check: used, wiped: used });
  assert.is(found.state, 'blocked');
  assert.match(found.why, '/dev/vdb is mounted. Name another device, or unmount it. ');
});

scratch(
  'marked: done; the twin: without its mark, blocked, and not marked unless --scratch-device names it',
  async () => {
    const conf = `SCRATCH=/var/cache/a\nSCRATCH_DEVICE=${link}\n`;
    assert.is((await step({}, {}, { conf })).state, 'done');
    const gone = await step({}, { check: noMark }, { conf });
    assert.is(gone.state, 'blocked');
    assert.equal(gone.actions, []);
    assert.equal((await step({ scratchDevice: link }, { check: noMark }, { conf })).actions, [
      ['mark', link],
    ]);
  },
);

scratch('a disk to which the host gave no name is refused; so are names that root can choose', async () => {
  for (const scratchDevice of ['/dev/vdb', '/dev/disk/by-id/dm-name-x']) {
    const { state, why } = await step({ scratchDevice }, {}, { links: ['dm-name-x'] });
    assert.is(state, 'blocked');
    assert.match(why, 'serial');
  }
});

scratch('SCRATCH without a device is in memory: an administrator decides', async () => {
  assert.is((await step({}, {}, { conf: 'SCRATCH=/var/cache/a\n' })).state, 'by hand');
});
scratch.run();
