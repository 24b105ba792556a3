import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { placesOf, readNamespaces } from '../../../../agent/prepare/move/namespaces.ts';
import { withGuest } from '../../../harness/guest.ts';
import { folder, namespaces, root } from '../../../harness/namespaces.ts';
import { ordinaryGuest } from '../../../harness/ordinary-guest.ts';

const found = suite('prepare home: mount namespaces');
found('places of a path in the file system', () => {
  const { own } = namespaces(folder, `${root}\n62 60 253:0 /home/alice /srv/a rw - xfs x rw`);
  const inside = (path: string) => placesOf(own, path).map((place) => place.inside);
  assert.equal(inside('/srv/a/x/y'), ['/home/alice/x/y']);
  assert.equal(inside('/srv/ab'), ['/srv/ab']);
  assert.equal(inside('/'), ['/']);
});
found('a namespace without a process is found where it is mounted', async () => {
  const guest = ordinaryGuest();
  guest.mounts['kept'] = '0:4 mnt:[4026532181] /run/kept rw - nsfs nsfs rw';
  guest.mounts['used'] = '0:4 mnt:[4026531840] /run/used rw - nsfs nsfs rw';
  guest.files['proc/self/ns/mnt'] = { linkTo: 'mnt:[4026531840]' };
  await withGuest(guest, (reader) => assert.equal(readNamespaces(reader, folder).kept, ['/run/kept']));
});
found.run();
