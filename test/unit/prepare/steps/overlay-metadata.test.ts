/** Tests the search for overlayfs metadata in the disk's /var with the output of find(1) and read-xattrs. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Ended } from '../../../../agent/system/reader.ts';
import type { Step } from '../../../../agent/prepare/engine/step.ts';
import type { Guest } from '../../../harness/guest.ts';
import { guestWith } from '../../../harness/step-table.ts';
import { planned } from '../../../harness/planned.ts';

const good = (stdout: string): Ended => ({ stdout, ended: 'good' });
interface Found {
  /** The output of stat(1) for character devices. */
  devices?: Ended;
  /** The output of read-xattrs for the tree. */
  attributes?: Ended;
}

async function varStep(found: Found, change: (guest: Guest) => void = () => undefined) {
  const guest = guestWith({});
  const searched: string[] = [];
  guest.answers.run = (program, args) => {
    if (program !== '/usr/bin/find') return undefined;
    const isForDevices = args.includes('c');
    searched.push(`${isForDevices ? 'devices' : 'attributes'} ${args[0]}`);
    assert.ok(args.includes('-xdev'), 'never into another file system');
    return isForDevices ? found.devices : found.attributes;
  };
  change(guest);
  return { step: await planned(guest, 'var'), searched };
}

const metadata = suite('findOverlayMetadata');
const none = '5:1 /var/lib/x/console\0';
for (const [title, found, state, said] of [
  ['none', { devices: good(none), attributes: good('') }, 'done', /./],
  [
    'a whiteout',
    { devices: good(`${none}0:0 /var/www/a b\0`) },
    'by hand',
    /^\/var\/www\/a b: character devices 0:0/,
  ],
  [
    'many',
    { devices: good(Array.from({ length: 7 }, (_, i) => `0:0 /var/w/${i}\0`).join('')) },
    'by hand',
    /\/var\/w\/4 and 2 more: character/,
  ],
  [
    'an attribute',
    { attributes: good('/var/www/a\nb\0/var/www/html\0') },
    'by hand',
    /^\/var\/www\/a\nb, \/var\/www\/html: trusted\.overlay attributes.*setfattr/,
  ],
  [
    'the search for devices fails',
    { devices: { stdout: '', ended: 'bad' } },
    'by hand',
    /have whiteouts: the search failed/,
  ],
  [
    'the search for devices times out',
    { devices: { stdout: '', ended: 'deadline' } },
    'by hand',
    /within 120 s.*find \/var/,
  ],
  [
    'the search for attributes times out',
    { attributes: { stdout: '', ended: 'deadline' } },
    'by hand',
    /attributes: the search did not/,
  ],
  ['more than 16 MiB of names', { devices: { stdout: none, ended: 'full' } }, 'by hand', /16 MiB/],
  [
    'the search for attributes fails',
    { attributes: { stdout: '/var/a\0', ended: 'bad' } },
    'by hand',
    /overlayfs attributes: the search failed/,
  ],
] as [string, Found, Step['state'], RegExp][]) {
  metadata(title, async () => {
    const { step } = await varStep(found);
    assert.is(step.state, state, step.why.join(' '));
    assert.match(step.why.join(' '), said);
    assert.equal(step.actions, []);
  });
}

metadata('the program that removes attributes is to be installed only if it is missing', async () => {
  const attributes = good('/var/a\0');
  const without = await varStep({ attributes }, ({ files }) => (files['usr/bin/yum'] = ''));
  assert.match(without.step.why.join(' '), 'FILE` (first run `yum install attr`).');
  const having = await varStep({ attributes }, ({ files }) => (files['usr/bin/setfattr'] = ''));
  assert.match(having.step.why.join(' '), 'setfattr -h -x NAME FILE`.');
});

metadata('metadata in a container store is counted, not listed', async () => {
  const devices = good('0:0 /var/lib/docker/overlay2/a/diff/x\0' + '0:0 /var/lib/docker/overlay2/b/diff/y\0');
  const attributes = good('/var/lib/docker/overlay2/a/diff/z\0');
  const { step } = await varStep({ devices, attributes }, ({ files }) => {
    files['var/lib/docker/overlay2/a/diff/z'] = '';
  });
  assert.is(step.state, 'by hand');
  assert.match(step.why.join(' '), /\/var\/lib\/docker has 2 whiteouts .* and 1 files with/);
  assert.not.match(step.why.join(' '), 'overlay2');
});

for (const [title, config, state] of [
  [
    'SCRATCH with empty',
    'SCRATCH=/var/lib/docker:empty\nSCRATCH_DEVICE=/dev/disk/by-id/virtio-scratch',
    'done',
  ],
  ['PERSIST', 'PERSIST=/var/lib/docker:autostart,exec\nPERSIST_STORE=/data/store', 'done'],
  [
    'SCRATCH with an overlay',
    'SCRATCH=/var/lib/docker\nSCRATCH_DEVICE=/dev/disk/by-id/virtio-scratch',
    'by hand',
  ],
] as const)
  metadata(`metadata in a container store in ${title}: ${state}`, async () => {
    const devices = good('0:0 /var/lib/docker/overlay2/a/diff/x\0');
    const attributes = good('/var/lib/docker/overlay2/a/diff/z\0');
    const { step } = await varStep({ devices, attributes }, ({ files }) => {
      files['var/lib/docker/overlay2/a/diff/z'] = '';
      files['etc/immutafs/immutafs.conf'] = `${config}\n`;
    });
    assert.is(step.state, state, step.why.join(' '));
  });

metadata('file systems below /var are searched only if they get a layer', async () => {
  const { searched } = await varStep({}, ({ mounts }) => {
    mounts['log'] = '253:0 /log /var/log rw - xfs /dev/mapper/rhel-root rw';
    mounts['data'] = '252:16 /d /var/data rw - xfs /dev/vdb rw';
    mounts['merged'] = '0:70 / /var/lib/docker/m rw - overlay x rw,lowerdir=/l';
    mounts['tmp'] = '0:71 / /var/tmp rw - tmpfs x rw';
  });
  assert.equal(searched, ['devices /var', 'attributes /var', 'devices /var/log', 'attributes /var/log']);
});

metadata('nothing is searched if /var is on a disk that stays writable', async () => {
  const { searched } = await varStep({}, ({ mounts }) => {
    mounts['own'] = '252:16 /v /var rw - xfs /dev/vdb rw';
  });
  assert.equal(searched, []);
});
metadata.run();
