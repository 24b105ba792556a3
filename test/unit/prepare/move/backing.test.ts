import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { exportedPaths, findBacking } from '../../../../agent/prepare/move/backing.ts';
import { withGuest } from '../../../harness/guest.ts';
import { folder, namespaces, root } from '../../../harness/namespaces.ts';
import { ordinaryGuest } from '../../../harness/ordinary-guest.ts';

const backing = suite('prepare: what the kernel has open in /home');
backing(
  'loop devices, swap files, overlays, stacked file systems and NFS exports are named; others are not',
  () => {
    const guest = ordinaryGuest();
    guest.files['proc/swaps'] =
      'Filename\tType\tSize\tUsed\tPriority\n/home/swap file 1 0 -2\n/var/swap file 1 0 -3\n';
    guest.files['sys/block/loop0/loop/backing_file'] = '/home/alice/image\n';
    guest.files['sys/block/loop1/loop/backing_file'] = '/var/image\n';
    guest.files['sys/block/loop2/loop/backing_file'] = '/home/gone (deleted)\n';
    for (const file of ['home/alice/image', 'var/image', 'home/swap', 'var/swap']) guest.files[file] = '';
    guest.files['var/lib/nfs/etab'] = '/home/alice *(rw)\n/var/ftp *(rw)\n/ *(ro)\n';
    guest.files['etc/exports'] = '/home/bob *(rw)\n';
    const table = `${root}
    62 60 0:70 / /srv/o rw - overlay o rw,lowerdir=/etc:/home/lower,upperdir=/var/u,workdir=/home/work
    63 60 0:71 / /srv/e rw - ecryptfs /home/.secret rw
    64 60 0:72 / /srv/n rw - nfs4 server:/home rw`;
    return withGuest(guest, async (reader) => {
      const found = await findBacking(reader, folder, namespaces(folder, table));
      assert.equal(
        found.map((sentence) => sentence.split(/[,:]/)[0]),
        [
          '/dev/loop0 has its content in /home/alice/image',
          '/home/swap is in use as swap',
          'the overlay on /srv/o uses /home/lower',
          'the overlay on /srv/o uses /home/work',
          'the ecryptfs on /srv/e uses /home/.secret',
          '/home/alice is exported by NFS',
          '/ is exported by NFS',
        ],
      );
    });
  },
);
backing('an entry of /etc/exports that is not exported counts while the server runs', () => {
  const guest = ordinaryGuest();
  guest.files['etc/exports'] = '/home/bob *(rw)\n';
  guest.files['etc/exports.d/more.exports'] = '"/home/with blank" *(rw)\n';
  guest.files['proc/fs/nfsd/threads'] = '8\n';
  return withGuest(guest, async (reader) => {
    const found = await findBacking(reader, folder, namespaces(folder, root));
    assert.equal(
      found.map((sentence) => sentence.split(' is exported')[0]),
      ['/home/bob', '/home/with blank'],
    );
  });
});
backing('paths below a new /home are not those of the old one; an export of / still has it', () => {
  const guest = ordinaryGuest();
  guest.files['proc/swaps'] = 'Filename\tType\tSize\tUsed\tPriority\n/home/swap file 1 0 -2\n';
  guest.files['var/lib/nfs/etab'] = '/home/alice *(rw)\n/ *(rw)\n';
  const table = `${root}
    61 60 253:0 /home /home ro - xfs r rw
    62 61 252:16 / /home rw - xfs /dev/vdb rw
    63 60 0:70 / /srv/o rw - overlay o rw,lowerdir=/etc,upperdir=/home/u,workdir=/home/w`;
  return withGuest(guest, async (reader) => {
    const found = await findBacking(reader, folder, namespaces(folder, table));
    assert.equal(
      found.map((sentence) => sentence.split(' is exported')[0]),
      ['/'],
    );
  });
});
backing('exports(5)', () => {
  const text = '# /no\n/a *(rw)\n  /b/ 192.0.2.1 \\\n  /not\n"/c d" *\n/e\\040f *(ro)\n-options\nnone\n/\n';
  assert.equal(exportedPaths(text), ['/a', '/b', '/c d', '/e f', '/']);
});
backing.run();
