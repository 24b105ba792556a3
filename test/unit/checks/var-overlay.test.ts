import { type Change, all, config, edit, handoff, mount, usage, without } from '../../harness/changes.ts';
import { testChanges } from '../../harness/finding.ts';

/** A file system below /var on the sealed disk, over which late boot mounted an overlay. */
const logOverlay: Change = all(
  mount('lowerlog', '252:2 / /run/immutafs/below/var+log ro,nosuid,nodev,noexec - xfs /dev/vda2 ro'),
  mount(
    'varlog',
    '0:50 / /var/log rw,noexec,nosuid,nodev - overlay immutafs rw,lowerdir=/run/immutafs/below/var+log,upperdir=/run/var/below/var+log/upper,workdir=/run/var/below/var+log/work',
  ),
  handoff({ LAYER: '/var/log overlay' }),
);

testChanges('var-overlay', {
  '/var is not a mount point': [
    without('var'),
    { 'var-overlay': 'fail', 'var-usage': 'skip' },
    'part of / (xfs)',
  ],
  '/var is a tmpfs': [
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
  '/var has another work directory': [
    edit('var', 'workdir=/run/var/work', 'workdir=/x'),
    { 'var-overlay': 'fail' },
    'no workdir=/run/var/work',
  ],
  'statfs(2) of /var reports another type': [
    usage({ type: 0x01021994 }),
    { 'var-overlay': 'fail' },
    'statfs(2)',
  ],
  '/var lacks an option': [edit('var', 'nosuid,', ''), { 'var-overlay': 'fail' }, '/var lacks nosuid'],
  '/var lacks an option of VAR_OPTIONS': [
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
  'the lower layer is not mounted': [
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
  'a tmpfs that is called overlay': [
    edit('var', /- overlay immutafs rw,.*/, '- tmpfs overlay rw,lowerdir=/run/immutafs/lower'),
    { 'var-overlay': 'fail', 'var-usage': 'skip' },
    '/var is tmpfs, not overlay',
  ],
  'a layer below /var': [logOverlay, {}],
  'an overlay below /var is gone': [
    all(logOverlay, ({ mounts }) => Reflect.deleteProperty(mounts, 'varlog')),
    { 'var-overlay': 'fail' },
    '/var/log is no longer an overlay',
  ],
  'an overlay below /var has another upper layer': [
    all(logOverlay, edit('varlog', 'upperdir=/run/var/below/var+log/upper', 'upperdir=/run/var/upper')),
    { 'var-overlay': 'fail' },
    'the overlay on /var/log has no upperdir=/run/var/below/var+log/upper',
  ],
  'the lower layer below /var is writable': [
    all(logOverlay, edit('lowerlog', 'log ro,', 'log rw,')),
    { 'var-overlay': 'fail' },
    '/run/immutafs/below/var+log is not mounted read-only',
  ],
  'the lower layer below /var is on another, writable disk': [
    all(logOverlay, edit('lowerlog', '252:2 ', '252:16 ')),
    { 'var-overlay': 'fail' },
    '/run/immutafs/below/var+log is on vdb, which is writable',
  ],
  'late boot could not assemble an overlay': [
    handoff({ LAYER: '/var/log failed' }),
    { 'var-overlay': 'fail' },
    '/var/log could not be assembled',
  ],
  'a file system below /var on its own disk': [handoff({ LAYER: '/var/log disk' }), {}],
  'a read-only file system below /var': [
    mount('spool', '252:2 / /var/spool ro,nodev - xfs /dev/vda2 ro'),
    { 'var-overlay': 'fail', 'stacked-mounts': 'fail' },
    '/var/spool is read-only and not an overlay',
  ],
  'the lower layer is a tmpfs': [
    edit('lower', '253:0 /var', '0:70 /'),
    { 'var-overlay': 'fail' },
    '/run/immutafs/lower is not on a disk',
  ],
});

testChanges('var-upper-tmpfs', {
  'the upper layer is on a disk': [
    edit('upper', '- tmpfs immutafs', '- xfs /dev/vdb'),
    { 'var-upper-tmpfs': 'fail', footholds: 'warn' },
    'xfs',
  ],
  'the upper layer has no size': [
    edit('upper', 'size=262144k,', ''),
    { 'var-upper-tmpfs': 'fail' },
    'no limit for bytes',
  ],
  'the upper layer has no number of inodes': [
    edit('upper', 'nr_inodes=204800,', ''),
    { 'var-upper-tmpfs': 'fail' },
    'no limit for inodes',
  ],
});
