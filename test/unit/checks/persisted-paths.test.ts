import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Change, all, config, edit, file, mount, without } from '../../harness/changes.ts';
import { findingOf, testChanges } from '../../harness/finding.ts';
import { goodGuest, maintenanceGuest, evaluateFixture } from '../../harness/guest.ts';

const settings = 'PERSIST=/var/lib/sss /opt/agent:exec\nPERSIST_STORE=/home/store\n';
const record = (name: string, text: string) => file(`run/immutafs/persisted/${name}`, text);
const keptRecord = 'STATE=kept\nREASON=\nREMEDY=\n';
const sss = '252:16 /store/var=lib=sss /var/lib/sss rw,noexec,nosuid,nodev - xfs /dev/vdb rw';

/** Both paths are kept on vdb, which is mounted on /home. */
const kept: Change = all(
  config(settings),
  mount('sss', sss),
  mount('agent', '252:16 /store/opt=agent /opt/agent rw,nosuid,nodev - xfs /dev/vdb rw'),
  record('var=lib=sss', keptRecord),
  record('opt=agent', keptRecord),
);
/** The boot did not try to keep /var/lib/sss. */
const unrecorded: Change = (guest) => {
  delete guest.files['run/immutafs/persisted/var=lib=sss'];
};
const onlySss = (options: string): Change =>
  all(
    config(`PERSIST=/var/lib/sss${options}\nPERSIST_STORE=/home/store\n`),
    mount('sss', sss),
    record('var=lib=sss', keptRecord),
  );

testChanges('persisted-paths', {
  'PERSIST is empty': [config('PERSIST_STORE=/home/store\n'), {}],
  'all paths are kept; an executable one is a foothold, and no other check minds': [
    kept,
    { 'persisted-paths': 'pass', footholds: 'warn' },
    'kept in /home/store',
  ],
  'without exec, it is no foothold that a check warns about': [onlySss(''), { 'persisted-paths': 'pass' }],
  'autostart is a foothold': [
    onlySss(':autostart'),
    { footholds: 'warn', 'persisted-paths': 'pass' },
    '/var/lib/sss: xfs, writable, outlives a reboot, programs are started from it (PERSIST)',
  ],
  'autostart is a larger one if it is mounted in maintenance, too': [
    onlySss(':autostart,maintenance'),
    { footholds: 'warn', 'persisted-paths': 'pass' },
    'also in maintenance, where they can change the system disk',
  ],
  'autostart without the mount, in a sealed boot': [
    all(onlySss(':autostart'), without('sss')),
    { 'persisted-paths': 'fail' },
    'it is no longer mounted',
  ],
  'one path is not kept': [
    all(kept, without('sss'), record('var=lib=sss', 'STATE=failed\nREASON=/x is bad\nREMEDY=Remove /x.\n')),
    { 'persisted-paths': 'fail', footholds: 'warn' },
    /^\/var\/lib\/sss: \/x is bad$/,
  ],
  'it is no longer mounted': [
    all(onlySss(''), without('sss')),
    { 'persisted-paths': 'fail' },
    'it is no longer mounted',
  ],
  'the boot was interrupted': [
    all(onlySss(''), without('sss'), record('var=lib=sss', 'STATE=begun\nREASON=\nREMEDY=\n')),
    { 'persisted-paths': 'fail' },
    'begun and not finished',
  ],
  'no record': [
    all(onlySss(''), without('sss'), record('var=lib=sss', keptRecord), (guest) => {
      delete guest.files['run/immutafs/persisted/var=lib=sss'];
    }),
    { 'persisted-paths': 'fail' },
    'the boot did not try to keep it',
  ],
  'a record that the boot did not write': [
    all(onlySss(''), without('sss'), record('var=lib=sss', 'x')),
    { 'persisted-paths': 'error' },
    'not a record',
  ],
  'a mount of another directory of the store': [
    all(onlySss(''), edit('sss', 'var=lib=sss', 'other')),
    { 'persisted-paths': 'fail' },
    'xfs (/dev/vdb) is mounted there, not /home/store/var=lib=sss',
  ],
  'a tmpfs in its place, whatever the record says': [
    all(onlySss(''), edit('sss', sss, '0:90 / /var/lib/sss rw,nosuid,nodev,noexec - tmpfs x rw')),
    { 'persisted-paths': 'fail' },
    'tmpfs (x) is mounted there',
  ],
  'a mount over it': [
    all(onlySss(''), mount('over', '0:90 / /var/lib/sss rw,nosuid,nodev,noexec - tmpfs x rw')),
    { 'persisted-paths': 'fail' },
    'tmpfs (x) is mounted there',
  ],
  'it is executable without the option': [
    all(onlySss(''), edit('sss', 'noexec,', '')),
    { 'persisted-paths': 'fail', footholds: 'warn' },
    'mounted without noexec',
  ],
  'it is read-only': [
    all(onlySss(''), edit('sss', ' rw,noexec', ' ro,noexec')),
    { 'persisted-paths': 'fail' },
    'mounted without rw',
  ],
  'the store is on the root': [
    all(
      onlySss(''),
      config('PERSIST=/var/lib/sss\nPERSIST_STORE=/srv/store\n'),
      edit('sss', /^.*rw,/, '253:0 /srv/store/var=lib=sss /var/lib/sss rw,'),
    ),
    { 'persisted-paths': 'fail' },
    'is mounted there, not /srv/store',
  ],
  'PERSIST_STORE is empty': [
    all(config('PERSIST=/x\n'), record('x', 'STATE=failed\nREASON=PERSIST_STORE is empty\nREMEDY=Set it.\n')),
    { 'persisted-paths': 'fail' },
    'PERSIST_STORE is empty',
  ],
});

const report = suite('persisted in the report');

report('each path with its state, source and reason; a correction is a note of a kept path', async () => {
  const guest = goodGuest();
  all(
    kept,
    without('agent'),
    record('opt=agent', 'STATE=failed\nREASON=no disk\nREMEDY=Attach it.\n'),
    record('var=lib=sss', 'STATE=kept\nREASON=owner was reset\nREMEDY=\n'),
  )(guest);
  const { persisted, checks } = await evaluateFixture(guest);
  assert.equal(persisted, [
    {
      path: '/var/lib/sss',
      state: 'kept',
      source: '/home/store/var=lib=sss',
      options: [],
      reason: 'owner was reset',
    },
    {
      path: '/opt/agent',
      state: 'failed',
      source: '/home/store/opt=agent',
      options: ['exec'],
      reason: 'no disk',
    },
  ]);
  const { subject, remedy } = checks.find(({ id }) => id === 'persisted-paths') ?? {};
  assert.equal([subject, remedy], ['/opt/agent', '/opt/agent: Attach it.']);
});

report('maintenance: evaluated; off: skipped', async () => {
  const failing = all(onlySss(''), without('sss'));
  const maintenance = maintenanceGuest();
  const { verdict } = await findingOf('persisted-paths', failing, { guest: maintenance });
  assert.is(verdict, 'failed');
  const inactive = await findingOf(
    'persisted-paths',
    all(onlySss(':autostart'), without('sss'), unrecorded),
    {
      guest: maintenanceGuest(),
    },
  );
  assert.is(inactive.status, 'pass');
  assert.match(inactive.observed, /^\/var\/lib\/sss: the system disk is writable/);
  const wanted = await findingOf(
    'persisted-paths',
    all(onlySss(':autostart,maintenance'), without('sss'), unrecorded),
    { guest: maintenanceGuest() },
  );
  assert.is(wanted.status, 'fail');
  // What the boot must not mount, root may have mounted.
  const mounted = await findingOf('persisted-paths', onlySss(':autostart'), { guest: maintenanceGuest() });
  assert.is(mounted.status, 'fail');
  assert.match(mounted.remedy, 'umount /var/lib/sss');
  const off = maintenanceGuest();
  off.files['run/immutafs/boot.env'] = (off.files['run/immutafs/boot.env'] as string).replace(
    'MODE=maintenance',
    'MODE=off',
  );
  off.files['proc/cmdline'] = 'immutafs=off\n';
  const skipped = await findingOf('persisted-paths', failing, { guest: off });
  assert.equal([skipped.status, skipped.verdict], ['skip', 'off']);
});

report.run();
