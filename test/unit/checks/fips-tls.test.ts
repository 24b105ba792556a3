import { type Change, all, file } from '../../harness/changes.ts';
import { testChanges, testFindings } from '../../harness/finding.ts';

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
