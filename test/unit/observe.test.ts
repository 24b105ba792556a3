import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemReader } from '../../agent/system/reader.ts';
import { findLargestFiles } from '../../agent/facts/largest-files.ts';
import { expectedType } from '../../agent/facts/security/file-contexts.ts';
import { parseReport, readLastReport } from '../../agent/facts/last-report.ts';
import { findLockdown } from '../../agent/facts/security/lockdown.ts';
import { parseWriteProtect } from '../../agent/facts/disks/evidence.ts';
import { inTemporaryFolder, writeFiles } from '../harness/temporary.ts';

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
contexts('garbage throws nothing', () => {
  fc.assert(fc.property(fc.string(), (text) => void expectedType(`/v${text}\n/va${text} x`, '/var')));
});
contexts.run();

const kernelLog = suite('write protection in the kernel log');
const record = (text: string, priority = 5) =>
  `${priority},1,2,-;${text}\n SUBSYSTEM=scsi\n DEVICE=+scsi:2:0:0:0\n`;
for (const [title, records, expected] of [
  ['on', [record('sd 2:0:0:0: [sda] Write Protect is on')], true],
  ['off', [record('sd 2:0:0:0: [sda] Write Protect is off')], false],
  ['not a word', [record('sd 2:0:0:0: [sda] Mode Sense: 63 00 00 08')], undefined],
  ['of another disk', [record('sd 2:0:0:1: [sdb] Write Protect is on')], undefined],
  [
    'the last word counts',
    [record('sd 2:0:0:0: [sda] Write Protect is on'), record('sd 2:0:0:0: [sdc] Write Protect is off')],
    false,
  ],
  ['a user wrote it: facility 1', [record('sd 2:0:0:0: [sda] Write Protect is on', 13)], undefined],
  ['quoted in something else', [record('x sd 2:0:0:0: [sda] Write Protect is on')], undefined],
  ['with something behind it', [record('sd 2:0:0:0: [sda] Write Protect is on, or not')], undefined],
  ['in a value below', ['5,1,2,-;x\n KEY=5,1,2,-;sd 2:0:0:0: [sda] Write Protect is on\n'], undefined],
] as const) {
  kernelLog(title, () => assert.is(parseWriteProtect(records, '2:0:0:0'), expected));
}
kernelLog.run();

const consumers = suite('what takes up the most');
consumers('down to two levels, by bytes and by inodes', () => {
  inTemporaryFolder((root) => {
    const many = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`up/spool/mail/${index}`, '']));
    writeFiles(root, {
      'up/log/journal/a/b': 'x'.repeat(200_000),
      'up/log/messages': 'x'.repeat(9000),
      ...many,
    });
    const found = findLargestFiles(systemReader({ root }), '/up');
    assert.is(found[0]?.path, '/var/log/journal');
    assert.ok((found[0]?.bytes ?? 0) >= 200_000);
    assert.is(found[0]?.inodes, 3);
    const mail = found.find((each) => each.path === '/var/spool/mail');
    assert.is(mail?.inodes, 51);
  });
});
consumers('many small files are named beside a few large ones', () => {
  inTemporaryFolder((root) => {
    const large = Array.from({ length: 6 }, (_, index) => [`up/large${index}`, 'x'.repeat(100_000)]);
    const small = Array.from({ length: 20 }, (_, index) => [`up/spool/many/${index}`, '']);
    writeFiles(root, Object.fromEntries([...large, ...small]) as Record<string, string>);
    const found = findLargestFiles(systemReader({ root }), '/up').map(({ path: each }) => each);
    assert.ok(found.includes('/var/spool/many'), found.join());
  });
});
consumers('what is mounted there is not touched', () => {
  inTemporaryFolder((root) => {
    writeFiles(root, { 'up/a/b': 'x', 'up/hangs/c': 'x' });
    const reader = systemReader({ root });
    const touched: string[] = [];
    const watched = { ...reader, stat: (file: string) => (touched.push(file), reader.stat(file)) };
    const found = findLargestFiles(watched, '/up', (file) => file === '/up/hangs');
    assert.equal(found.map(({ path: each }) => each).sort(), ['/var/a', '/var/a/b']);
    assert.equal(touched, ['/up/a', '/up/a/b']);
  });
});
consumers('a sparse file takes up what it does', () => {
  inTemporaryFolder((root) => {
    fs.mkdirSync(path.join(root, 'up'));
    fs.closeSync(fs.openSync(path.join(root, 'up/sparse'), 'w'));
    fs.truncateSync(path.join(root, 'up/sparse'), 1e9);
    assert.is(findLargestFiles(systemReader({ root }), '/up')[0]?.bytes, 0);
  });
});
consumers('ends, however much there is', () => {
  const endless = { ...systemReader(), list: () => ['a', 'b'], stat: () => folder };
  assert.ok(findLargestFiles(endless, '/up').length > 0);
});
const times = { mode: 0o755, uid: 0, gid: 0, changed: 0, modified: 0 };
const folder = { kind: 'directory', bytes: 0, allocatedBytes: 4096, ...times } as const;
consumers.run();

const lockdown = suite('lockdown');
lockdown('as the kernel says it', () => {
  inTemporaryFolder((root) => {
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
});
lockdown('what is not there is not known', () => {
  inTemporaryFolder((root) => {
    const none = {
      lockdown: undefined,
      modulesDisabled: undefined,
      signaturesEnforced: undefined,
      kexecDisabled: undefined,
    };
    assert.equal(findLockdown(systemReader({ root })), none);
  });
});
lockdown.run();

const lastReport = suite('the last report');
lastReport('any JSON is read or refused with a reason', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      try {
        parseReport(text);
      } catch (error) {
        assert.match((error as Error).message, /^\/run\/immutafs\/report\.json: \w+ is (missing|not a \w+)$/);
      }
    }),
  );
});
const nothing = () => undefined;
const makeLink = (file: string) => {
  fs.renameSync(file, `${file}.other`);
  fs.symlinkSync(`${file}.other`, file);
};
const minimal = (bootId: string) =>
  JSON.stringify({ at: 'x', host: { bootId }, verdict: 'sealed', checks: [], disks: [] });
for (const [title, change, bootId, expected] of [
  ['of this boot, by root alone', nothing, 'a', 'read'],
  ['of another boot', nothing, 'b', 'ignored'],
  ['of a boot that nobody knows', nothing, '', 'ignored'],
  [
    'of another user',
    (file: string) => fs.chownSync(file, 1000, 0),
    'a',
    /owned by user 1000, must be owned by root$/,
  ],
  [
    'that its group may write',
    (file: string) => fs.chmodSync(file, 0o664),
    'a',
    /users other than root may write/,
  ],
  [
    'that everybody may write',
    (file: string) => fs.chmodSync(file, 0o646),
    'a',
    /users other than root may write/,
  ],
  ['that is a link', makeLink, 'a', /a symbolic link, not a regular file$/],
] as const) {
  lastReport(title, () => {
    inTemporaryFolder((root) => {
      writeFiles(root, { 'run/immutafs/report.json': minimal(bootId === '' ? '' : 'a') });
      change(path.join(root, 'run/immutafs/report.json'));
      const read = () => readLastReport(systemReader({ root }), bootId);
      if (typeof expected === 'string') assert.is(read() === undefined, expected === 'ignored');
      else assert.throws(read, expected);
    });
  });
}
lastReport.run();
