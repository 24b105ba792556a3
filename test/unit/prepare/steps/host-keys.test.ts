import { type Files, goodEtc, table } from '../../../harness/step-table.ts';

/** sshd without host keys; RHEL's units where they are named. */
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
  ['none, without units that make them', sshd(), 'needed', /ssh_host_rsa_key/, made],
  ['all', sshd({ ...units, ...keys('rsa', 'ecdsa', 'ed25519') }), 'done', /./, []],
  [
    'one is missing',
    sshd({ ...units, ...keys('rsa', 'ed25519') }),
    'needed',
    /^\/etc\/ssh\/ssh_host_ecdsa_key:/,
    made,
  ],
  ['one is missing and no unit would make it', sshd(keys('rsa')), 'done', /./, []],
  [
    'one is empty',
    sshd({ ...units, ...keys('rsa', 'ecdsa'), 'etc/ssh/ssh_host_ed25519_key': '' }),
    'needed',
    /ed25519/,
    made,
  ],
  [
    'RHEL 7 that is told to make none',
    sshd({
      'usr/lib/systemd/system/sshd-keygen.service': '',
      'etc/sysconfig/sshd': 'AUTOCREATE_SERVER_KEYS=NO\n',
    }),
    'done',
    /./,
    [],
  ],
  [
    'or some',
    sshd({ ...units, ...keys('rsa'), 'etc/sysconfig/sshd': 'AUTOCREATE_SERVER_KEYS="RSA ECDSA"\n' }),
    'needed',
    /^\/etc\/ssh\/ssh_host_ecdsa_key:/,
    made,
  ],
  [
    'in FIPS mode ed25519 is none',
    sshd({ ...units, ...keys('rsa', 'ecdsa'), 'proc/sys/crypto/fips_enabled': '1\n' }),
    'done',
    /./,
    [],
  ],
  [
    'nothing to make them with',
    sshd({ ...units, 'usr/bin/ssh-keygen': undefined }),
    'by hand',
    /install openssh/,
    [],
  ],
  ['no sshd', { ...goodEtc, ...units }, 'done', /./, []],
]);
