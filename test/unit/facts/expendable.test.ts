import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { expendableFiles, isLogName, rotatedFiles } from '../../../agent/facts/expendable.ts';
import { systemReader } from '../../../agent/system/reader.ts';
import { inTemporaryDirectory, writeFiles } from '../../harness/temporary.ts';

const names = suite('names of logs');

names('logs of common services, also rotated and compressed', () => {
  const logs = [
    ...['acme.log', 'acme.log.1', 'acme.log.2.gz', 'acme.log-20261130', 'acme.log-20261130-1764500000.xz'],
    ...[
      'acme-20261130.log',
      'acme.log.2026-11-30',
      'server.log.2026-11-30-10',
      'Xorg.0.log.old',
      'gc.log.0.current',
    ],
    ...[
      'access_log',
      'error_log-20261129',
      'ssl_request_log',
      'mainlog',
      'rejectlog.1.gz',
      'xferlog',
      'log.smbd',
    ],
    ...[
      'localhost_access_log.2026-11-30.txt',
      'catalina.out',
      'mail.err',
      'mail.info.1',
      'syslog',
      'cloud-init-output.log',
    ],
    ...['postgresql-17-main.log', 'mysqld.log.1.gz', 'access', 'errors.20261130-1234', 'audit', 'page_log.O'],
  ];
  assert.equal(
    logs.filter((name) => !isLogName(name)),
    [],
  );
});

names('data, also beside logs', () => {
  const data = [
    ...[
      'ledger',
      'ledger.db',
      'ledger.csv',
      'ledger-20261130',
      'mysql-bin.000001',
      'mysql-bin.index',
      'mysql-binlog.000002',
    ],
    ...[
      'catalog',
      'catalog.1',
      'acmelog.db',
      'audit.sqlite',
      'backlog',
      '00000000000000000000.index',
      'dump.sql.gz',
    ],
    ...['accounts.journal', 'wal.1', 'blogger', 'login', 'logistics', 'state'],
  ];
  assert.equal(data.filter(isLogName), []);
});
names.run();

const rotated = suite('files that logrotate rotates');
rotated('the patterns before each block, and nothing of the scripts', () => {
  const text = `# /var/log/comment {
weekly
include /etc/logrotate.d
/var/log/a /var/log/b/*.txt
"/var/log/with space" {
  missingok
  postrotate
    /bin/kill -HUP \`cat /var/run/a.pid\` { /var/log/script }
  endscript
}
/var/log/c
{
  rotate 4
}
`;
  assert.equal(
    rotatedFiles(text).filter((each) => !each.startsWith('/etc')),
    ['/var/log/a', '/var/log/b/*.txt', '/var/log/with space', '/var/log/c'],
  );
});
rotated.run();

const expendable = suite('caches and logs by declaration');

const files = {
  'etc/logrotate.d/acme': '/var/log/acme/*.txt /var/log/journal-of-acme {\n weekly\n}\n',
  'usr/lib/systemd/system/vendor.service': '[Service]\nCacheDirectory=vendor\nLogsDirectory=vendor/sub\n',
  'usr/lib/systemd/system/dynamic.service': '[Service]\nDynamicUser=yes\nCacheDirectory=dynamic\n',
};

expendable(
  'what a unit, logrotate or FORWARD_FILES names, and what has the name of a log; nothing beside it',
  () =>
    inTemporaryDirectory((root) => {
      writeFiles(root, files);
      const isExpendable = expendableFiles(systemReader({ root }), { FORWARD_FILES: '/var/log/sent/*' });
      const harmless = [
        ...['/var/cache/vendor/vendor.db', '/var/cache/private/dynamic/a', '/var/log/vendor/sub/a'],
        ...[
          '/var/log/acme/a.txt',
          '/var/log/acme/a.txt.1',
          '/var/log/acme/a.txt-20261130.gz',
          '/var/log/journal-of-acme.2',
        ],
        ...['/var/log/sent/a', '/var/log/any/a.log'],
      ];
      assert.equal(
        harmless.filter((file) => !isExpendable(file)),
        [],
      );
      const state = [
        ...['/var/cache/other/other.db', '/var/cache/vendors/a', '/var/log/vendor/a', '/var/cache/any/a.log'],
        ...['/var/log/acme/ledger', '/var/log/acme/sub/a.txt', '/var/log/sent/sub/a', '/var/log/ledger'],
      ];
      assert.equal(state.filter(isExpendable), []);
    }),
);
expendable.run();
