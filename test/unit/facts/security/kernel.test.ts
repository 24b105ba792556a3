import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { categoryOf } from '../../../../agent/changes/category.ts';
import type { Change } from '../../../../agent/changes/change.ts';
import { runPlaces } from '../../../../agent/changes/changes.ts';
import { expectedType } from '../../../../agent/facts/security/selinux.ts';
import { findLockdown } from '../../../../agent/facts/security/kernel-settings.ts';
import { dataPlaces, persistItem, placeOf, startPlaces } from '../../../../agent/facts/security/places.ts';
import { systemReader } from '../../../../agent/system/reader.ts';
import { inDirectories, writeFiles } from '../../../harness/temporary.ts';

const contexts = suite('file_contexts');
const policy = `
/.*\ta:b:default_t:s0
/var/.*\ta:b:var_t:s0
/var\t-d\ta:b:var_t:s0
/var\t-l\ta:b:link_t:s0
/var/log/.*\ta:b:var_log_t:s0
/var/log/audit(/.*)?\ta:b:auditd_log_t:s0
/var/log\t-d\ta:b:var_log_t:s0
/var/spool/.*\t--\ta:b:spool_file_t:s0
/var/none\t<<none>>
/tmp\t-d\ta:b:tmp_t:s0
/tmp/.*\t<<none>>
/bad[\ta:b:bad_t:s0
`;
for (const [target, type] of [
  ['/var', 'var_t'],
  ['/var/log', 'var_log_t'],
  ['/var/log/audit', 'auditd_log_t'],
  ['/var/lib', 'var_t'],
  ['/var/spool/x', 'var_t'],
  ['/var/none', undefined],
  ['/tmp', 'tmp_t'],
  ['/tmp/x', undefined],
  ['/srv', 'default_t'],
  ['/bad', 'default_t'],
] as const) {
  contexts(target, () => assert.is(expectedType(policy, target), type));
}
contexts('any text: no error', () => {
  fc.assert(fc.property(fc.string(), (text) => void expectedType(`/v${text}\n/va${text} x`, '/var')));
});
contexts.run();

const lockdown = suite('lockdown');
const lockdownIn = inDirectories(lockdown);
lockdownIn('every setting', (root) => {
  writeFiles(root, {
    'sys/kernel/security/lockdown': 'none [integrity] confidentiality\n',
    'proc/sys/kernel/modules_disabled': '0\n',
    'proc/sys/kernel/kexec_load_disabled': '1\n',
    'sys/module/module/parameters/sig_enforce': 'Y\n',
  });
  assert.equal(findLockdown(systemReader({ root })), {
    lockdown: 'integrity',
    modulesDisabled: false,
    signaturesEnforced: true,
    kexecDisabled: true,
  });
});
lockdownIn('missing files: unknown', (root) => {
  const none = {
    lockdown: undefined,
    modulesDisabled: undefined,
    signaturesEnforced: undefined,
    kexecDisabled: undefined,
  };
  assert.equal(findLockdown(systemReader({ root })), none);
});
lockdown.run();

const places = suite('the places from which programs start');

places('each row is one absolute path, once, with a reason that sh can read', () => {
  const all = [...dataPlaces, ...startPlaces().map(({ path }) => path)];
  assert.is(new Set(all).size, all.length);
  for (const path of all) assert.match(path, /^(?:\/[A-Za-z0-9._-]+)+$/);
  for (const { path, why } of startPlaces()) assert.match(why, /^[a-zA-Z][^'*?[\]\n]+[^.]$/, path);
});

places('the nearest row counts', () => {
  const found = (path: string) => {
    const place = placeOf(path);
    return place === undefined || place === 'data' ? place : place.path;
  };
  assert.is(found('/etc/audit/plugins.d/x.conf'), '/etc/audit');
  assert.is(found('/etc/other'), '/etc');
  assert.is(found('/var/lib/pgsql/data'), 'data');
  assert.is(found('/var/lib/systemd/timers/x'), 'data');
  assert.is(found('/var/lib/systemd/x'), '/var/lib/systemd');
  assert.is(found('/var/libs'), undefined);
  assert.is(found('/'), undefined);
});

places('an item of PERSIST has autostart unless the path holds only data', () => {
  assert.equal(['/var/lib/x', '/srv/app', '/srv', '/var/lib', '/opt/a', '/app'].map(persistItem), [
    '/var/lib/x',
    '/srv/app',
    // /srv/salt is below it.
    '/srv:autostart',
    ...['/var/lib:autostart', '/opt/a:autostart', '/app:autostart'],
  ]);
});

places('a change below each place of a category is notable; below a broad or busy place, it is not', () => {
  const change = {
    change: 'added',
    type: 'file',
    mode: 0o644,
    capable: false,
    what: [],
  } as unknown as Change;
  const missing = startPlaces().filter(
    ({ path, category }) => categoryOf({ ...change, path: `${path}/x` }) !== category,
  );
  // Matched by `generated`: systemd itself writes these in every boot.
  assert.equal(
    missing.map(({ path }) => path),
    ['/run/systemd/generator', '/run/systemd/generator.early', '/run/systemd/generator.late'],
  );
  assert.ok(startPlaces().filter(({ category }) => category !== undefined).length > 100);
});

places('changes searches each place in /run', () => {
  assert.equal(runPlaces(), [...new Set(runPlaces())]);
  assert.is(runPlaces().length, 12);
});
places.run();
