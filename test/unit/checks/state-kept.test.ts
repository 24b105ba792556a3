import { all, file } from '../../harness/changes.ts';
import { testChanges } from '../../harness/finding.ts';

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
