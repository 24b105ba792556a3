import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Status } from '../../agent/checks/check.ts';
import { checks, evaluate } from '../../agent/checks/index.ts';
import { assess } from '../../agent/assess/assess.ts';
import { gatherFacts } from '../../agent/facts/gather.ts';
import { exitCode } from '../../agent/report/report.ts';
import { evaluateGuest, goodGuest, maintenanceGuest, withGuest } from '../harness/guest.ts';
import {
  type Change,
  config,
  edit,
  without,
  handoff,
  disk,
  file,
  usage,
  tryWrite,
  all,
} from '../harness/changes.ts';

/** What changes against a good guest: [the change, the findings that become different, what one of them says]. */
const breakages: Record<string, [Change, Record<string, Status>, (string | RegExp)?]> = {
  '/ is mounted read-write': [
    all(edit('root', '/ ro,', '/ rw,'), edit('root', ' ro,seclabel', ' rw,seclabel')),
    { 'root-readonly': 'fail' },
    'mounted read-write',
  ],
  '/boot is mounted read-write': [
    all(edit('boot', '/boot ro,', '/boot rw,'), edit('boot', ' ro,seclabel', ' rw,seclabel')),
    { 'boot-readonly': 'fail' },
    'mounted read-write',
  ],
  'there is no /boot': [
    all(
      without('boot'),
      ({ folders }) => folders.splice(folders.indexOf('boot'), 1),
      file('etc/fstab', '/dev/mapper/rhel-root / xfs ro 0 0\n'),
    ),
    { 'boot-readonly': 'skip' },
  ],
  'REQUIRE_READONLY names something else that is writable': [
    config('REQUIRE_READONLY=/ /boot /run\n'),
    // It is no disk's, so the host has nothing to do with it.
    { 'boot-readonly': 'fail' },
  ],
  'the disk is read-only only by a flag': [
    disk({ offered: false, readOnly: true }),
    { 'host-enforced': 'fail', 'kernel-lockdown-hints': 'warn' },
    /not offered/,
  ],
  'the disk is writable, but the boot was sealed by MODE=sealed': [
    all(config('MODE=sealed\n'), disk({ offered: false }), handoff({ REASON: 'MODE=sealed' })),
    { 'host-enforced': 'warn', 'kernel-lockdown-hints': 'warn' },
  ],
  '/ is on a second disk too, which is writable': [
    ({ devices }) => {
      devices[2] = { name: 'dm-0', device: '253:0', on: ['vda2', 'vdb'], readOnly: true };
    },
    // fstab's /home is then on a disk of the system, and writable.
    { 'host-enforced': 'fail', 'fstab-consistent': 'fail', 'kernel-lockdown-hints': 'warn' },
    /^virtio feature VIRTIO_BLK_F_RO not offered/,
  ],
  'a write is accepted': [tryWrite('OK'), { 'root-write-probe': 'fail' }, 'a write was accepted'],
  'a write is answered with something else': [tryWrite('EIO'), { 'root-write-probe': 'error' }, 'EIO'],
  'a write is refused for want of rights': [tryWrite('EACCES'), { 'root-write-probe': 'error' }, 'EACCES'],
  '/var is no mount': [without('var'), { 'var-overlay': 'fail', 'var-usage': 'skip' }, 'part of / (xfs)'],
  '/var is something else': [
    ({ mounts }) => {
      mounts['var'] = '0:43 / /var rw,nosuid,nodev - tmpfs tmpfs rw,size=1024k';
    },
    { 'var-overlay': 'fail', 'var-usage': 'skip' },
    '/var is tmpfs, not overlay',
  ],
  '/var has another lower layer': [
    edit('var', 'lowerdir=/run/immutafs/lower', 'lowerdir=/tmp/lower'),
    { 'var-overlay': 'fail' },
    'no lowerdir=/run/immutafs/lower',
  ],
  '/var has another upper layer': [
    edit('var', 'upperdir=/run/var/upper', 'upperdir=/home/upper'),
    { 'var-overlay': 'fail', footholds: 'warn' },
    'no upperdir=/run/var/upper',
  ],
  '/var has another work folder': [
    edit('var', 'workdir=/run/var/work', 'workdir=/x'),
    { 'var-overlay': 'fail' },
    'no workdir=/run/var/work',
  ],
  '/var only looks like an overlay': [usage({ type: 0x01021994 }), { 'var-overlay': 'fail' }, 'statfs(2)'],
  '/var lacks an option': [edit('var', 'nosuid,', ''), { 'var-overlay': 'fail' }, '/var lacks nosuid'],
  '/var lacks what VAR_OPTIONS adds': [
    config('VAR_OPTIONS=nosuid,nodev,noexec\n'),
    { 'var-overlay': 'fail' },
    '/var lacks noexec',
  ],
  '/var is read-only': [edit('var', '/var rw,', '/var ro,'), { 'var-overlay': 'fail' }, '/var is read-only'],
  'the lower layer is writable': [
    edit('lower', 'lower ro,', 'lower rw,'),
    { 'var-overlay': 'fail' },
    'lower is not mounted read-only',
  ],
  'the lower layer is no mount': [
    without('lower'),
    { 'var-overlay': 'fail' },
    'lower is not mounted read-only',
  ],
  'another mount covers /var': [
    ({ mounts }) => {
      mounts['over'] = '0:44 / /var rw,nosuid,nodev - tmpfs tmpfs rw';
    },
    { 'var-overlay': 'fail', 'var-usage': 'skip', 'stacked-mounts': 'fail' },
    '/var is tmpfs',
  ],
  'the boot could not assemble it': [
    all(without('var'), handoff({ VAR: 'failed', ERROR: 'mount failed: no' })),
    { 'var-overlay': 'fail', 'var-usage': 'skip' },
    'mount failed: no',
  ],
  'the upper layer is on a disk': [
    edit('upper', '- tmpfs immutafs', '- xfs /dev/vdb'),
    { 'var-upper-tmpfs': 'fail', footholds: 'warn' },
    'xfs',
  ],
  'the upper layer has no size': [
    edit('upper', 'size=262144k,', ''),
    { 'var-upper-tmpfs': 'fail' },
    'no size',
  ],
  'the upper layer has no number of inodes': [
    edit('upper', 'nr_inodes=204800,', ''),
    { 'var-upper-tmpfs': 'fail' },
    'no nr_inodes',
  ],
  '/var is at the warning': [
    usage({ usedBytes: 0.8 * 256 * 1024 * 1024 }),
    { 'var-usage': 'warn' },
    '80% of 256 MiB',
  ],
  '/var is just below the warning': [usage({ usedBytes: 0.79 * 256 * 1024 * 1024 }), {}],
  '/var is full of inodes': [usage({ inodesUsed: 194560 }), { 'var-usage': 'fail' }, '95% of 204800 inodes'],
  '/var is over a limit of its own': [config('USAGE_WARN=3%\n'), { 'var-usage': 'warn' }],
  ...Object.fromEntries(
    ['noexec', 'nosuid', 'nodev'].flatMap((option) =>
      ['home', 'tmp'].map((name) => [
        `/${name} lacks ${option}`,
        [
          edit(name, new RegExp(`\\b${option},?`), ''),
          {
            [`${name}-options`]: 'fail',
            // /home is on a disk that persists.
            ...(name === 'home' && option === 'noexec' ? { footholds: 'warn' } : {}),
          },
          `without ${option}`,
        ] as [Change, Record<string, Status>, string],
      ]),
    ),
  ),
  '/home is part of /': [
    without('home'),
    { 'home-options': 'fail', 'fstab-consistent': 'fail' },
    'no mount of its own but part of /',
  ],
  'there is no /home': [
    all(without('home'), ({ folders }) => folders.splice(folders.indexOf('home'), 1)),
    { 'home-options': 'skip', 'fstab-consistent': 'fail' },
  ],
  'the options of a file system do not count, only the mount does': [
    all(edit('tmp', 'noexec,', ''), edit('tmp', 'rw,seclabel', 'rw,noexec,seclabel')),
    { 'tmp-options': 'fail' },
  ],
  'a later mount on /tmp counts': [
    ({ mounts }) => {
      mounts['bind'] = '253:0 /var/tmp /tmp rw,relatime - xfs /dev/mapper/rhel-root rw';
    },
    { 'tmp-options': 'fail', 'stacked-mounts': 'fail' },
  ],
  'another target that holds': [
    config('REQUIRE_OPTIONS=/home:nosuid /tmp:nodev /run:nosuid,nodev\n'),
    { 'other-options': 'pass' },
  ],
  'another target that does not': [
    config('REQUIRE_OPTIONS=/home:nosuid /tmp:nodev /run:noexec\n'),
    { 'other-options': 'fail' },
  ],
  '/etc/mtab is a file': [file('etc/mtab', 'x'), { 'mtab-link': 'fail' }, 'not a link'],
  '/etc/mtab is not there': [file('etc/mtab', undefined), { 'mtab-link': 'fail' }],
  '/etc/mtab points elsewhere': [
    file('etc/mtab', { linkTo: '/run/mtab' }),
    { 'mtab-link': 'fail' },
    'a link to /run/mtab',
  ],
  '/etc/mtab points to /proc/mounts': [file('etc/mtab', { linkTo: '/proc/mounts' }), {}],
  'an unknown key': [
    config('MODES=auto\n'),
    { 'config-valid': 'fail', 'forward-healthy': 'fail' },
    'immutafs.conf:1: MODES: unknown key',
  ],
  'a kernel argument that means nothing': [
    file('proc/cmdline', 'ro noresume immutafs=yes\n'),
    { 'config-valid': 'fail' },
    'kernel argument immutafs=yes',
  ],
  'no configuration file': [file('etc/immutafs/immutafs.conf', undefined), {}],
  'the hook did not run': [
    file('run/immutafs/boot.env', undefined),
    { 'initramfs-hook': 'warn' },
    'the hook did not run',
  ],
  'the hook is of another version': [
    handoff({ VERSION: '0.0.9' }),
    { 'initramfs-hook': 'warn' },
    'the hook of 0.0.9',
  ],
  'the hand-off is damaged': [
    handoff({ MODE: 'nonsense' }),
    { 'initramfs-hook': 'error' },
    'MODE=nonsense is none of',
  ],
};

const before = new Map(
  (await withGuest(goodGuest(), evaluateGuest)).checks.map(({ id, status }) => [id, status]),
);

const broken = suite('one thing broken, and only its check changes');
for (const [title, [change, changed, said]] of Object.entries(breakages)) {
  broken(title, async () => {
    const guest = goodGuest();
    change(guest);
    const { checks: findings } = await withGuest(guest, evaluateGuest);
    const different = findings.filter(({ id, status }) => before.get(id) !== status);
    assert.equal(Object.fromEntries(different.map(({ id, status }) => [id, status])), changed);
    if (said === undefined) return;
    const [first] = Object.keys(changed);
    const finding = findings.find(({ id }) => id === first);
    assert.match(finding?.observed ?? '', said);
    assert.is(finding?.status === 'fail' && finding.remedy === '', false, 'a failure says what to do');
  });
}
broken.run();

const good = suite('guests with nothing to complain of');
good('sealed: nothing fails, warns or is unknown', async () => {
  const report = await withGuest(goodGuest(), evaluateGuest);
  const bad = report.checks.filter(({ status }) => status !== 'pass' && status !== 'skip');
  assert.equal(bad, []);
  assert.equal(
    report.checks
      .filter(({ status }) => status === 'skip')
      .map(({ id }) => id)
      .filter((id) => id === 'other-options'),
    ['other-options'],
  );
  assert.equal(
    [report.mode, report.verdict, report.enforcement, exitCode(report)],
    ['sealed', 'sealed', 'host', 0],
  );
});

good('maintenance: the checks of the seal are skipped, the others pass', async () => {
  const report = await withGuest(maintenanceGuest(), evaluateGuest);
  const bad = report.checks.filter(({ status }) => status !== 'pass' && status !== 'skip');
  assert.equal(bad, []);
  for (const { id, seal } of checks.filter((each) => each.seal)) {
    assert.is(report.checks.find((finding) => finding.id === id)?.status, 'skip', `${id} ${seal}`);
  }
  const { mode, verdict, enforcement } = report;
  assert.equal([mode, verdict, enforcement, exitCode(report)], ['maintenance', 'maintenance', 'none', 4]);
});

good('maintenance: what fails there fails', async () => {
  const guest = maintenanceGuest();
  edit('tmp', 'noexec,', '')(guest);
  const report = await withGuest(guest, evaluateGuest);
  assert.equal([report.mode, report.verdict, exitCode(report)], ['maintenance', 'failed', 1]);
});
good.run();

const list = suite('the list');
list('ids are unique and of the form of the schema', () => {
  const ids = checks.map(({ id }) => id);
  assert.is(new Set(ids).size, ids.length);
  for (const id of ids) assert.match(id, /^[a-z][a-z-]*$/);
});

list('message ids are 128 bits and unique', () => {
  const ids = checks.map(({ messageId }) => messageId);
  assert.is(new Set(ids).size, ids.length);
  for (const id of ids) assert.match(id, /^[0-9a-f]{32}$/);
});

list('each has something to say of itself', () => {
  for (const { id, documentation } of checks) {
    const texts = Object.values<string>({ ...documentation });
    for (const text of texts) assert.ok(text.length > 10, id);
  }
});

list('a check that throws is an error, and the others still run', async () => {
  const [first] = checks;
  assert.ok(first);
  const thrower = {
    ...first,
    id: 'thrower',
    evaluate: () => {
      throw new TypeError('oops');
    },
  };
  await withGuest(goodGuest(), async (reader) => {
    const facts = assess(await gatherFacts(reader));
    const [one, two] = evaluate(facts, [thrower, first]);
    assert.equal([one?.status, one?.observed, two?.status], ['error', 'oops', 'pass']);
  });
});
list.run();
