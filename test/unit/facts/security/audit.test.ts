import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { findAuditTrail, parseAuditdConf, withSetting } from '../../../../agent/facts/security/audit.ts';
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
  'an ID that is none': { ...running, 'run/auditd.pid': '../77\n', '77/comm': 'auditd\n' },
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

const parsing = suite('auditd.conf as auditd reads it');
for (const [title, text, values] of [
  ['nothing', '', {}],
  ['comments and empty lines', '# a = b\n\n   # c = d\n##name = x\n#\t\n', {}],
  ['spaces around the words', '  num_logs   =   5   \n', { num_logs: '5' }],
  ['upper case', 'LOG_Group = Root\n', { log_group: 'Root' }],
  ['the last of several lines counts', 'num_logs = 5\nNUM_LOGS = 6\n', { num_logs: '6' }],
  ['an action with a program', 'disk_full_action = EXEC /sbin/x\n', { disk_full_action: 'EXEC /sbin/x' }],
  ['a share', 'space_left = 25%\n', { space_left: '25%' }],
  ['a line of 158 characters', `name = ${'x'.repeat(151)}\n`, { name: 'x'.repeat(151) }],
  ['a line that is too long is ignored', `name = ${'x'.repeat(152)}\n`, {}],
  ['a comment without a newline', '# x', {}],
  ['bytes beyond ASCII', 'name = \xc3\xa4\n', { name: '\xc3\xa4' }],
  [
    'limits in different units',
    'space_left = 5%\nadmin_space_left = 50\n',
    { space_left: '5%', admin_space_left: '50' },
  ],
] as const) {
  parsing(title, () => {
    const conf = parseAuditdConf(text);
    assert.equal([Object.fromEntries(conf.values), conf.problems], [values, []]);
  });
}
for (const [title, text, problems] of [
  ['no spaces around "="', 'a = b\nnum_logs=5\n', [/^line 2 is not "key = value"/]],
  ['no value', 'num_logs =\n', [/^line 1 is not/]],
  ['no "="', 'num_logs 5\n', [/^line 1 is not/]],
  ['a tab', 'num_logs\t=\t5\n', [/^line 1 contains a tab/]],
  ['a tab instead of an empty line', '\t\n', [/^line 1 contains a tab/]],
  ['a carriage return', 'num_logs = 5\r\n', [/^line 1 ends with a carriage return/]],
  ['a carriage return instead of an empty line', 'a = b\n\r\n', [/^line 2 ends with a carriage return/]],
  ['a NUL, even in a comment', '# \0\n', [/^line 1 contains a NUL/]],
  ['an escape sequence', 'name = \x1b[2J\n', [/^line 1 contains/]],
  ['a comment after a value', 'log_group = root # x\n', [/^line 1 has more than one value/]],
  ['a word instead of a number', 'num_logs = many\n', [/^line 1 needs a number for num_logs/]],
  ['a negative number', 'space_left = -1\n', [/^line 1 needs a number/]],
  ['a share where auditd has none', 'max_log_file = 5%\n', [/^line 1 needs a number/]],
  ['a setting without a newline', 'a = b\nnum_logs = 5', [/^line 2 has no newline at its end/]],
  ['limits in the wrong order', 'space_left = 5\nadmin_space_left = 5\n', [/^space_left is not larger/]],
  ['more than three errors', 'a\nb\nc\nd\ne\n', [/1/, /2/, /3/, /^2 further lines/]],
] as const) {
  parsing(`error: ${title}`, () => {
    const found = parseAuditdConf(text).problems;
    assert.is(found.length, problems.length, found.join('\n'));
    for (const [index, problem] of problems.entries()) assert.match(found[index] ?? '', problem);
  });
}
parsing('a line with an error does not count', () => {
  assert.is(parseAuditdConf('num_logs = 5\nnum_logs=6\n').values.get('num_logs'), '5');
});
parsing.run();

const changing = suite('a changed setting');
for (const [title, before, after] of [
  ['of an empty file', '', 'k = new\n'],
  ['is appended', 'a = b\n', 'a = b\nk = new\n'],
  ['is appended after a last line without a newline', '# x', '# x\nk = new\n'],
  ['keeps its place and its spaces', 'a = b\n  K  =   old   \n# z\n', 'a = b\n  K  =   new   \n# z\n'],
  ['is not the one in a comment', '# k = old\n#k = old\n', '# k = old\n#k = old\nk = new\n'],
  ['is not a longer key', 'kk = old\n', 'kk = old\nk = new\n'],
  ['is the last of several', 'k = 1\nk = 2\na = b\n', 'k = 1\nk = new\na = b\n'],
  ['is not the one in an ignored line', `k = ${'x'.repeat(160)}\n`, `k = ${'x'.repeat(160)}\nk = new\n`],
  ['keeps every other byte', '\xff\xfe # \x01\n\nk = old', '\xff\xfe # \x01\n\nk = new'],
] as const) {
  changing(title, () => assert.is(withSetting(before, 'k', 'new'), after));
}
changing('may contain a $', () => assert.is(withSetting('k = old\n', 'k', '$1$&'), 'k = $1$&\n'));
changing.run();
