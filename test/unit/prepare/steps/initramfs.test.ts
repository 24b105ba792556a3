import zlib from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeCpio } from '../../../harness/cpio.ts';
import { goodImage } from '../../../harness/ordinary-guest.ts';
import { planned } from '../../../harness/planned.ts';
import { guestWith, table } from '../../../harness/step-table.ts';

const kernel = '3.10.0-1160.el7.x86_64';
const image = `boot/initramfs-${kernel}.img`;
const made = `/boot/.initramfs-${kernel}.img.immutafs`;
const written =
  "/bin/sh -c trap '' INT TERM HUP; if /usr/sbin/fsfreeze -f /boot; then /usr/sbin/fsfreeze -u /boot; else /usr/bin/sync; fi";
const actions = [`/usr/bin/dracut --force ${made} ${kernel}`, `rename ${made} /${image}`, written];
table('initramfs', 'initramfs', [
  ['without the hook', {}, 'needed', /img lacks the hook of this package\.$/, actions],
  ['nothing missing', { [image]: goodImage() }, 'done', /has the scripts and the overlay driver/],
  [
    'without the driver',
    { [image]: goodImage({ [`usr/lib/modules/${kernel}/kernel/fs/overlayfs/overlay.ko.xz`]: undefined }) },
    'needed',
    /img lacks the overlay driver\.$/,
    actions,
  ],
  [
    'the driver is built in',
    {
      [image]: goodImage({ [`usr/lib/modules/${kernel}/kernel/fs/overlayfs/overlay.ko.xz`]: undefined }),
      [`usr/lib/modules/${kernel}/modules.builtin`]: 'kernel/fs/xfs.ko\nkernel/fs/overlayfs/overlay.ko\n',
    },
    'done',
  ],
  [
    'the scripts of an older version',
    { [image]: goodImage({ 'usr/libexec/immutafs/assemble-var': '#!/bin/sh\n' }) },
    'needed',
    /lacks the scripts of this version/,
    actions,
  ],
  [
    'a missing script',
    { [image]: goodImage({ 'usr/libexec/immutafs/library.sh': undefined }) },
    'needed',
    /lacks the scripts of this version/,
    actions,
  ],
  ['no image', { [image]: undefined }, 'needed', /img does not exist/, actions],
  ['a truncated image', { [image]: goodImage().slice(0, -100) }, 'needed', /img cannot be read/, actions],
  [
    'a truncated image, uncompressed',
    { [image]: makeCpio({ a: 'b' }).toString('latin1').slice(0, -20) },
    'needed',
    /cannot be read.*ends in the middle/,
    actions,
  ],
  ["Debian's file names", { [`boot/initrd.img-${kernel}`]: goodImage(), [image]: undefined }, 'done'],
  [
    'a kernel whose image is only in /usr/lib/modules',
    { [image]: goodImage(), 'usr/lib/modules/5.14.0-1.el9/vmlinuz': 'kernel' },
    'needed',
    /^\/boot\/initramfs-5\.14\.0-1\.el9\.img does not exist\.$/,
    [
      '/usr/bin/dracut --force /boot/.initramfs-5.14.0-1.el9.img.immutafs 5.14.0-1.el9',
      'rename /boot/.initramfs-5.14.0-1.el9.img.immutafs /boot/initramfs-5.14.0-1.el9.img',
      written,
    ],
  ],
  ['no dracut', { 'usr/bin/dracut': undefined }, 'blocked', /dracut is not installed/],
  [
    'the dracut module of the package is not there',
    { 'usr/lib/dracut/modules.d/95immutafs/module-setup.sh': undefined },
    'blocked',
    /install the package immutafs-agent/,
  ],
  [
    'the package is not installed',
    { 'usr/libexec/immutafs/assemble-var': undefined, 'usr/libexec/immutafs/library.sh': undefined },
    'blocked',
    /install the package immutafs-agent/,
  ],
]);

const other = suite('initramfs: other cases');
other('zstd, as on EL9', async () => {
  const text = goodImage();
  const begin = text.indexOf('\x1f\x8b');
  const unpacked = zlib.gunzipSync(Buffer.from(text.slice(begin), 'latin1'));
  const packed = text.slice(0, begin) + zlib.zstdCompressSync(unpacked).toString('latin1');
  const step = await planned(guestWith({ [image]: packed }), 'initramfs');
  assert.is(step.state, 'done', step.why.join(' '));
});
other('no space for a new image', async () => {
  const guest = guestWith({});
  guest.answers.usage.usedBytes = guest.answers.usage.sizeBytes;
  const step = await planned(guest, 'initramfs');
  assert.is(step.state, 'blocked');
  assert.match(step.why.join(' '), /\/boot has 0 B free/);
});
other('space only because an image of an interrupted run is overwritten', async () => {
  const guest = guestWith({ [made.slice(1)]: goodImage() + goodImage() });
  guest.answers.usage.usedBytes = guest.answers.usage.sizeBytes;
  assert.is((await planned(guest, 'initramfs')).state, 'needed');
});
other('a /boot on the root is not frozen', async () => {
  const guest = guestWith({});
  delete guest.mounts['boot'];
  const { actions } = await planned(guest, 'initramfs');
  assert.is(actions.length, 2);
});
other('xz: lsinitrd lists the files', async () => {
  for (const [answer, state] of [
    ['', 'needed'],
    ['-rw-r--r--   1 root     root  1 Jan  1  1970 usr/bin/sh\n', 'needed'],
    [
      [
        'usr/lib/dracut/hooks/pre-pivot/10-immutafs-pre-pivot.sh',
        'usr/libexec/immutafs/assemble-var',
        'usr/libexec/immutafs/library.sh',
        `usr/lib/modules/${kernel}/kernel/fs/overlayfs/overlay.ko.xz`,
      ]
        .map((name) => `-rw-r--r--   1 root     root  1 Jan  1  1970 ${name}\n`)
        .join(''),
      'done',
    ],
  ] as const) {
    const guest = guestWith({ [image]: '\xfd7zXZ\0 packed' });
    guest.answers.labels = answer;
    assert.is((await planned(guest, 'initramfs')).state, state);
  }
});
other.run();
