import { type Files, goodEtc, table } from '../../../harness/step-table.ts';

/** Returns the files of a guest with sshd and without host keys. */
const sshd = (files: Files = {}): Files => ({
  ...goodEtc,
  'usr/sbin/sshd': 'program',
  'usr/bin/ssh-keygen': 'program',
  ...files,
});
const units: Files = { 'usr/lib/systemd/system/sshd-keygen@.service': '[Unit]\n' };
const keys = (...kinds: string[]): Files =>
  Object.fromEntries(kinds.map((kind) => [`etc/ssh/ssh_host_${kind}_key`, 'key']));
const made = ['/usr/bin/ssh-keygen -A'];
table('etc: host keys of sshd', 'etc', [
  ['none', sshd(units), 'needed', /ssh_host_rsa_key .*ed25519.*cloned/, made],
  ['none, without units that generate them', sshd(), 'needed', /ssh_host_rsa_key/, made],
  ['all', sshd({ ...units, ...keys('rsa', 'ecdsa', 'ed25519') }), 'done', /./, []],
  [
    'one is missing',
    sshd({ ...units, ...keys('rsa', 'ed25519') }),
    'needed',
    /^\/etc\/ssh\/ssh_host_ecdsa_key:/,
    made,
  ],
  ['one is missing, without units that generate it', sshd(keys('rsa')), 'done', /./, []],
  [
    'one is empty',
    sshd({ ...units, ...keys('rsa', 'ecdsa'), 'etc/ssh/ssh_host_ed25519_key': '' }),
    'needed',
    /ed25519/,
    made,
  ],
  [
    'RHEL 7 with AUTOCREATE_SERVER_KEYS=NO',
    sshd({
      'usr/lib/systemd/system/sshd-keygen.service': '',
      'etc/sysconfig/sshd': 'AUTOCREATE_SERVER_KEYS=NO\n',
    }),
    'done',
    /./,
    [],
  ],
  [
    'RHEL 7 with a list in AUTOCREATE_SERVER_KEYS',
    sshd({ ...units, ...keys('rsa'), 'etc/sysconfig/sshd': 'AUTOCREATE_SERVER_KEYS="RSA ECDSA"\n' }),
    'needed',
    /^\/etc\/ssh\/ssh_host_ecdsa_key:/,
    made,
  ],
  [
    'FIPS mode, without an ed25519 key',
    sshd({ ...units, ...keys('rsa', 'ecdsa'), 'proc/sys/crypto/fips_enabled': '1\n' }),
    'done',
    /./,
    [],
  ],
  [
    'ssh-keygen is not installed',
    sshd({ ...units, 'usr/bin/ssh-keygen': undefined }),
    'by hand',
    /install openssh/,
    [],
  ],
  ['sshd is not installed', { ...goodEtc, ...units }, 'done', /./, []],
]);
