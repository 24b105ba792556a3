import fs from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ignoredByDefault } from '../../../agent/changes/category.ts';
import { keys } from '../../../agent/config/keys.ts';
import { services } from '../../../agent/services/services.ts';
import { globPattern, harmlessDirectories, stateRuleOf } from '../../../agent/services/state-rules.ts';
import { servicesPage } from '../../../docs/services.ts';

const table = suite('table of services');

table('each row has its own id, a source and ASCII texts', () => {
  assert.is(new Set(services.map(({ id }) => id)).size, services.length);
  for (const { id, name, source, loses, advice, state, harmless, writes } of services) {
    assert.match(id, /^[A-Za-z0-9.-]+$/);
    assert.ok(name !== '' && source.length > 3, id);
    assert.ok(state !== undefined || harmless !== undefined || writes !== undefined, `${id} says nothing`);
    assert.is(state === undefined, loses === undefined, `${id}: what a reboot loses of the state`);
    for (const text of [advice, writes?.advice, ...Object.keys(harmless ?? {})])
      if (text !== undefined) assert.match(text, /^[ -~]+[.]$/, `${id}: a sentence`);
    if (loses !== undefined)
      assert.match(loses, /^[a-zA-Z][ -~]*[^.]$/, `${id}: goes on "A reboot would lose"`);
  }
});

table('the configuration accepts what a row proposes for PERSIST', () => {
  for (const { id, state = [], keep = [] } of services) {
    for (const item of [...state, ...keep].filter((each) => !each.includes('*')))
      assert.ok(keys.PERSIST.goodItem?.(item) === true, `${id}: ${item}`);
  }
});

table('the rule with the most components counts', () => {
  const rows = [
    ['/var/lib/pgsql/16/data/base/1', 'postgresql', 'state'],
    ['/var/lib/pgsql', 'postgresql', 'state'],
    ['/var/lib/pgsqlx/a', undefined, undefined],
    ['/var/spool/postfix/deferred/A/1', 'postfix', 'state'],
    ['/var/spool/postfix/pid/master.pid', 'postfix', 'harmless'],
    ['/var/log/sa/sa01', 'sysstat', 'state'],
    ['/var/log/messages', 'logs', 'harmless'],
    ['/var/log/acme/x', 'logs', 'examined'],
    ['/var/cache/acme/x', 'caches', 'examined'],
    ['/var/cache/dnf/x', 'caches', 'harmless'],
    ['/var/cache/bind/db.example.com', 'named', 'state'],
    ['/var/cache/bind/managed-keys.bind.jnl', 'named', 'harmless'],
    ['/var/backups/dpkg.status.0', 'packages', 'harmless'],
    ['/var/backups/pg/dump.sql', undefined, undefined],
    ['/var/spool/imap/a/user/alice/1.', 'cyrus-imap', 'state'],
    ['/var/lib/xfonts/fonts.dir', 'generated', 'harmless'],
    ['/var/lib/dhcp/dhcpd6.leases', 'dhcpd', 'state'],
    ['/var/lib/dhcp/dhclient.leases', 'network-manager', 'harmless'],
    ['/var/lib/tomcat9/webapps/a', 'tomcat', 'state'],
    ['/var/lib/tomcat9/work/a', 'tomcat', 'harmless'],
    ['/var/lib/acme', undefined, undefined],
  ] as const;
  for (const [path, id, kind] of rows) {
    const rule = stateRuleOf(path);
    assert.equal([rule?.service.id, rule?.kind], [id, kind], path);
  }
});

table('only directories without state are left out of the search', () => {
  for (const directory of harmlessDirectories) assert.is(stateRuleOf(`${directory}/x`)?.kind, 'harmless');
  assert.ok(harmlessDirectories.includes('/var/cache/apt'));
  for (const directory of [
    '/var/cache',
    '/var/log',
    '/var/backups',
    '/var/spool/postfix',
    '/var/lib/systemd',
  ])
    assert.not.ok(harmlessDirectories.includes(directory), directory);
});

table('of a minimal RHEL 7, nothing has to be decided', () => {
  const files = fs
    .readFileSync('test/fixtures/state/rhel7-minimal.txt', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('/'));
  assert.ok(files.length > 50);
  assert.equal(
    files.filter((file) => !['harmless', 'examined'].includes(stateRuleOf(file)?.kind ?? '')),
    [],
  );
});

table('what `changes` only counts in /var may be reset', () => {
  const samples = ignoredByDefault
    .filter((pattern) => pattern.startsWith('/var/'))
    .flatMap((pattern) => {
      const [, before = pattern, words = '', after = ''] = /^(.*)\{(.*)\}(.*)$/.exec(pattern) ?? [];
      return words.split(',').map((word) => `${before}${word}${after}`.replaceAll('*', 'x'));
    });
  assert.ok(samples.includes('/var/lib/systemd/timers/xx') && samples.length > 15);
  assert.equal(
    samples.filter((path) => !['harmless', 'examined'].includes(stateRuleOf(path)?.kind ?? '')),
    [],
  );
});

table('in a glob, only the asterisk is special', () => {
  assert.ok(globPattern('postgresql@*.service').test('postgresql@16-main.service'));
  assert.not.ok(globPattern('a.service').test('axservice'));
});

table('docs/services.md has the items of PERSIST as a boot accepts them', () => {
  const page = servicesPage();
  assert.match(page, /To keep it: `\/var\/lib\/containers:autostart,exec` in `PERSIST`/);
  assert.match(page, /To keep it: `\/var\/lib\/pgsql`, /);
});

table('docs/services.md is generated from the table', () => {
  assert.is(fs.readFileSync('docs/services.md', 'utf8'), servicesPage(), 'run `npm run services-page`');
});
table.run();
