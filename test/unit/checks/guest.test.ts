import { type Change, all, config, disk, file } from '../../harness/changes.ts';
import { testChanges, testFindings } from '../../harness/finding.ts';

testChanges('config-valid', {
  'an unknown key': [
    config('MODES=auto\n'),
    { 'config-valid': 'fail', 'forward-healthy': 'fail' },
    'immutafs.conf:1: MODES: unknown key',
  ],
  'an invalid value of the kernel argument': [
    file('proc/cmdline', 'ro noresume immutafs=yes\n'),
    { 'config-valid': 'fail' },
    'kernel argument immutafs=yes',
  ],
  'no configuration file': [file('etc/immutafs/immutafs.conf', undefined), {}],
});

testChanges('mtab-link', {
  '/etc/mtab is a file': [file('etc/mtab', 'x'), { 'mtab-link': 'fail' }, 'not a link'],
  '/etc/mtab does not exist': [file('etc/mtab', undefined), { 'mtab-link': 'fail' }],
  '/etc/mtab points elsewhere': [
    file('etc/mtab', { linkTo: '/run/mtab' }),
    { 'mtab-link': 'fail' },
    'a link to /run/mtab',
  ],
  '/etc/mtab points to /proc/mounts': [file('etc/mtab', { linkTo: '/proc/mounts' }), {}],
});

testFindings('mtab-link', {
  'mtab-link': {
    'a link to a name that only begins with /proc/mounts': [
      file('etc/mtab', { linkTo: '/proc/mounts.old' }),
      'fail',
    ],
  },
});

const row = file('run/var/upper/lib/pgsql/data/base/1', 'row');

testChanges('state-kept', {
  'a database is in the upper layer': [
    row,
    { 'state-kept': 'warn' },
    /a reboot would lose: PostgreSQL \(.* in 1 file\)/,
  ],
  'a directory of an unknown service': [
    file('run/var/upper/lib/acme/registration', 'x'),
    { 'state-kept': 'warn' },
    /\/var\/lib\/acme \(/,
  ],
  'logs, caches and records of the base system': [
    all(
      file('run/var/upper/log/messages', 'x'),
      file('run/var/upper/cache/x/y', 'x'),
      file('run/var/upper/lib/systemd/random-seed', 'x'),
    ),
    {},
  ],
  'a database whose loss was accepted': [
    all(row, file('etc/immutafs/accepted-writes', '# alice:\n/var/lib/pgsql\n')),
    {},
  ],
});

testChanges('kernel-lockdown-hints', {
  'the disk is read-only only by a flag': [
    disk({ offered: false, readOnly: true }),
    { 'kernel-lockdown-hints': 'warn', 'host-enforced': 'fail', 'foreign-programs': 'skip' },
    'writable by root in the guest',
  ],
});

testFindings('kernel-lockdown-hints', {
  'kernel-lockdown-hints': {
    'the host enforces read-only; nothing is known of the kernel': [
      all(
        file('proc/sys/kernel/kexec_load_disabled', undefined),
        file('sys/module/module/parameters/sig_enforce', undefined),
      ),
      'pass',
      'not writable from the guest (lockdown: not supported, modules: unknown, kexec: unknown)',
    ],
    'what the kernel prevents is shown': [
      (guest) => {
        file('sys/kernel/security/lockdown', 'none [integrity] confidentiality\n')(guest);
        file('proc/sys/kernel/modules_disabled', '1\n')(guest);
        file('proc/sys/kernel/kexec_load_disabled', '1\n')(guest);
      },
      'pass',
      'lockdown: integrity, modules: disabled, kexec: disabled',
    ],
  },
});

const id = 'fips-tls';
const mode = (text: string) => file('proc/sys/crypto/fips_enabled', text);
const forward =
  (servers: string): Change =>
  (guest) => {
    guest.files['etc/immutafs/immutafs.conf'] = `FORWARD=${servers}\n`;
  };

testChanges(id, {
  'FIPS mode and a server with TLS': [
    all(mode('1\n'), forward('relp+tls://log.example.com:2514')),
    { [id]: 'warn', 'forward-healthy': 'warn' },
    'outside the validated module',
  ],
});

testFindings(id, {
  [id]: {
    'no FIPS mode': [all(mode('0\n'), forward('syslog+tls://log')), 'pass', 'not in FIPS mode'],
    'a kernel without FIPS support': [forward('relp+tls://log:2514'), 'pass', 'not in FIPS mode'],
    'FIPS mode and no server': [mode('1\n'), 'pass', 'the agent uses no TLS'],
    'FIPS mode and stunnel on the loopback interface': [
      all(mode('1\n'), forward('relp://127.0.0.1:2514')),
      'pass',
      'the agent uses no TLS',
    ],
    'FIPS mode, and TLS only for the second server': [
      all(mode('1\n'), forward('relp://127.0.0.1:2514 journal+https://log')),
      'warn',
    ],
    'FIPS mode and syslog with TLS': [all(mode('1\n'), forward('syslog+tls://log')), 'warn'],
    'an unknown value': [all(mode('2\n'), forward('syslog+tls://log')), 'error', "contains '2'"],
  },
});
