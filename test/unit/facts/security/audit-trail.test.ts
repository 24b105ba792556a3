import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { findAuditTrail } from '../../../../agent/facts/security/audit-trail.ts';
import { systemReader } from '../../../../agent/system/reader.ts';
import { auditdText } from '../../../harness/auditd.ts';
import { inTemporaryDirectory, writeFiles } from '../../../harness/temporary.ts';

const trail = suite('where auditd writes the audit trail');

const conf = 'etc/audit/auditd.conf';
const running = { 'run/auditd.pid': '77\n', 'proc/77/comm': 'auditd\n' };
const socket = 'run/systemd/units/invocation:systemd-journald-audit.socket';

function find(files: Record<string, string | { linkTo: string }>): ReturnType<typeof findAuditTrail> {
  return inTemporaryDirectory((root) => {
    writeFiles(root, files);
    return findAuditTrail(systemReader({ root }));
  });
}

const standard = '/var/log/audit/audit.log';

for (const [title, [text, file]] of Object.entries<[string | undefined, string | undefined]>({
  'the setting of RHEL': [auditdText(), standard],
  'another file': [auditdText({ log_file: '/srv/audit.log' }), '/srv/audit.log'],
  'no setting': [auditdText({ log_file: undefined }), standard],
  'no configuration': [undefined, standard],
  'write_logs = no': [auditdText({ write_logs: 'no' }), undefined],
  'write_logs = NO': [auditdText({ write_logs: 'NO' }), undefined],
  'write_logs = yes': [auditdText({ write_logs: 'yes' }), standard],
  'log_format = NOLOG': [auditdText({ log_format: 'NOLOG' }), undefined],
  'log_format = ENRICHED': [auditdText({ log_format: 'ENRICHED' }), standard],
}))
  trail(`${title}: ${file ?? 'no file'}`, () => {
    const files = text === undefined ? running : { ...running, [conf]: text };
    assert.equal(find(files), { file, inJournal: false });
  });

trail('journald receives the trail if its socket for it is active', () => {
  assert.equal(find({ ...running, [socket]: { linkTo: 'ad4f' } }), { file: standard, inJournal: true });
});

for (const [title, files] of Object.entries({
  'no file with a process ID': { 'proc/77/comm': 'auditd\n' },
  'a process that ended': { 'run/auditd.pid': '77\n' },
  'another process with the ID': { ...running, 'proc/77/comm': 'sshd\n' },
  'an ID that is none': { ...running, 'run/auditd.pid': '../77\n' },
  'an empty file': { ...running, 'run/auditd.pid': '' },
}))
  trail(`${title}: auditd does not run`, () => assert.is(find(files), undefined));

trail('a configuration that cannot be read is an error', () => {
  assert.throws(
    () =>
      inTemporaryDirectory((root) => {
        writeFiles(root, { ...running, [`${conf}/is-a-directory`]: '' });
        return findAuditTrail(systemReader({ root }));
      }),
    /auditd\.conf: /,
  );
});

trail.run();
