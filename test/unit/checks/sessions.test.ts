import { asUser, testChanges, testFindings } from '../../harness/finding.ts';
import { all, config, file } from '../../harness/changes.ts';
import { held, listed, recorded } from '../../harness/session-files.ts';

const lists = listed('bash 5.2', 'coreutils 9.7', 'strace 6.13');

testFindings('session-absent', {
  'no session': ['pass: no session'],
  'an empty directory': [file('run/immutafs/sessions/1/environment', ''), 'pass'],
  'a name that is no number': [file('run/immutafs/sessions/x/session.json', '{}'), 'pass'],
  'a session in which a package was installed': [
    all(recorded(), held(), lists),
    [
      /^warn: session 1 of alice \(pts\/0\) since 2026-03-04 03:00 UTC until 2026-03-04 07:00 UTC: installed strace 6\.13$/,
      /systemctl stop immutafs-session@1/,
    ],
  ],
  'a session in which nothing was installed': [
    all(recorded({ terminal: '' }), held(), listed('bash 5.2', 'coreutils 9.7')),
    /^warn: session 1 of alice since .* UTC$/,
  ],
  'a command': [
    all(recorded({ installs: false, command: ['tcpdump', '-i', 'eth0'] }), held()),
    'warn: runs tcpdump -i eth0',
  ],
  'two sessions': [
    all(recorded({ installs: false }), recorded({ id: 12, user: 'bob', installs: false })),
    /^warn: session 1 of alice .*; session 12 of bob /,
  ],
  'a record without a field': [
    file('run/immutafs/sessions/1/session.json', '{"id":1}'),
    'error: /run/immutafs/sessions/1/session.json: user is missing or invalid',
  ],
});

testFindings('session-absent: the packages are unknown', {
  'nothing was listed yet': [all(recorded(), held()), 'warn: installed packages unknown'],
});
testFindings(
  'session-absent: for another user',
  { 'the record is readable': [recorded({ installs: false }), 'warn: session 1 of alice'] },
  { as: asUser },
);

testChanges('session-absent', {
  'a session': [all(recorded(), held(), lists), 'warn'],
  'SESSION=off': [config('SESSION=off\n'), {}],
});
