import * as assert from 'uvu/assert';
import { suite } from 'uvu';
import { auditd, auditdText } from '../../../../harness/auditd.ts';
import { table } from '../../../../harness/step-table.ts';
import { parseAuditdConf } from '../../../../../agent/facts/security/audit.ts';
import {
  fittingSettings,
  isUnlimited,
  necessarySettings,
  reachedLimits,
  readSpaceSettings,
} from '../../../../../agent/prepare/steps/audit/space.ts';

const megabyte = 1024 * 1024;
const atBoot = /at every boot/;
const later = /may grow to 40 MiB/;
const edit = (lines: string) => [`edit /etc/audit/auditd.conf: ${lines}`];
const harmless = { admin_space_left_action: 'syslog' };
const tiny = { max_log_file: '1', num_logs: '5', space_left: '2', admin_space_left: '1' };
/** Settings with which every limit of auditd stops the guest. */
const strict = { admin_space_left_action: 'HALT', disk_full_action: 'halt', disk_error_action: 'SINGLE' };
table('audit: limits of auditd', 'audit', {
  'done: enough': [auditd({}, '256m'), /The limits of auditd fit/],
  'done: just enough: 50 MiB, five logs of 8 MiB and the open files': [auditd({}, '91m')],
  'by hand: a little less': [auditd({}, '90m'), later],
  'by hand: SUSPEND, when the logs have grown': [auditd(), /may grow.*stops writing.*VAR_SIZE=91m/],
  'by hand: SUSPEND, with the line to set': [
    auditd(),
    /or these lines in \S+: `admin_space_left = 3`\. FORWARD/,
  ],
  'needed: SUSPEND at every boot': [
    auditd({ num_logs: '2' }, '50m'),
    /50 cannot work/,
    edit('admin_space_left = 2'),
  ],
  'needed: HALT at every boot': [
    auditd({ admin_space_left_action: 'halt', admin_space_left: '70' }, '70m'),
    /70 cannot work/,
    edit('admin_space_left = 3'),
  ],
  'by hand: SUSPEND at every boot, because of open files': [
    { ...auditd({ num_logs: '2' }, '60m'), 'var/log/messages': 'x'.repeat(16 * megabyte) },
    atBoot,
  ],
  'by hand: HALT': [auditd({ admin_space_left_action: 'halt' }), /HALT: .*powers the guest off/],
  'by hand: SINGLE': [auditd({ admin_space_left_action: 'single' }), /single-user mode/],
  'by hand: EMAIL of space_left': [
    auditd({ space_left_action: 'email' }, '100m'),
    /space_left = 75.*a mailer/,
  ],
  'by hand: a program': [auditd({ space_left_action: 'exec /usr/local/bin/alert' }, '80m'), /runs a program/],
  'done: a message to syslog only': [auditd(harmless, '41m')],
  'done: IGNORE': [auditd({ admin_space_left_action: 'ignore' }, '41m')],
  'done: ROTATE, which frees space': [auditd({ admin_space_left_action: 'rotate' }, '41m')],
  'by hand: logs that are never removed': [
    auditd({ max_log_file_action: 'keep_logs', admin_space_left_action: 'halt' }, '400m'),
    /sets no limit for auditd's own logs.*`max_log_file_action = ROTATE`/,
  ],
  'by hand: logs that are never removed, with harmless actions': [
    auditd({ max_log_file_action: 'KEEP_LOGS', ...harmless }, '400m'),
    /max_log_file_action = KEEP_LOGS: auditd deletes no old logs.*`max_log_file_action = ROTATE`/,
  ],
  'done: a share of the layer': [auditd({ space_left: '30%', admin_space_left: '25%' }, '200m')],
  'by hand: a share, when the logs have grown': [
    auditd({ space_left: '60%', admin_space_left: '50%' }),
    /50%.*VAR_SIZE=81m/,
  ],
  'done: auditd writes no logs': [auditd({ write_logs: 'no' }, '40m'), /writes no log/],
  'done: an old way to write no logs': [auditd({ log_format: 'NOLOG' }, '40m'), /writes no log/],
  'done: logs on another disk': [auditd({ log_file: '/home/audit/audit.log' }, '40m'), /not in the overlay/],
  'done: auditd is not enabled': [
    { ...auditd({}, '40m'), 'etc/systemd/system/multi-user.target.wants/auditd.service': undefined },
    /not enabled/,
  ],
  'done: auditd is not installed': [{ 'etc/immutafs/immutafs.conf': 'VAR_SIZE=40m\n' }, /not installed/],
});

table('audit: limits that stop the guest when the layer is full', 'audit', {
  'done: are named': [
    auditd(strict, '256m'),
    /When other programs fill.*powers the guest off \(HALT in admin_space_left_action, disk_full_action\)/,
  ],
  'done: are not named if there are none': [
    auditd(harmless, '256m'),
    /The limits of auditd fit into the layer of \/var\. FORWARD/,
  ],
  'by hand: are reached if the logs have no limit': [
    auditd({ ...strict, max_log_file_action: 'ignore' }, '256m'),
    /disk_full_action = HALT: max_log_file_action sets no limit.*disk_error_action = SINGLE: .*`max_log_file_action = ROTATE`/,
  ],
  'by hand: are reached if the logs fill the layer to the last blocks': [
    auditd({ ...harmless, ...tiny, disk_full_action: 'halt' }, '5m'),
    /disk_full_action = HALT: auditd's own logs may grow/,
  ],
});

table('audit: sizes that cannot work', 'audit', {
  'needed: logs as large as the layer become smaller; num_logs stays': [
    auditd({ space_left: '4', admin_space_left: '2' }, '40m'),
    /max_log_file = 8 cannot work in the layer of \/var \(VAR_SIZE, 40 MiB\): it will be 1\./,
    edit('max_log_file = 1'),
  ],
  'done: logs a little smaller than the layer stay': [
    auditd({ space_left: '4', admin_space_left: '1', ...harmless }, '41m'),
  ],
  'needed: both limits, in the right order': [
    auditd({ space_left_action: 'suspend', num_logs: '2' }, '40m'),
    /space_left = 75 cannot work.*admin_space_left = 50 cannot work/,
    edit('space_left = 4; admin_space_left = 2'),
  ],
  'needed: space_left, and admin_space_left because it must be smaller': [
    auditd({ ...harmless, space_left_action: 'suspend', admin_space_left: '30', num_logs: '2' }, '60m'),
    edit('space_left = 6; admin_space_left = 3'),
  ],
  'needed: a share of the whole layer': [
    auditd({ space_left: '110%', admin_space_left: '100%', num_logs: '2' }, '100m'),
    /100% cannot work/,
    edit('space_left = 10; admin_space_left = 5'),
  ],
  'needed: so many logs that the smallest size does not help are reported, too': [
    auditd({ num_logs: '99', max_log_file: '2' }, '99m'),
    /max_log_file = 2 cannot work.*`num_logs = 9`/,
    edit('max_log_file = 1'),
  ],
  'needed: an enormous number': [
    auditd({ space_left: '9'.repeat(120), admin_space_left: '9'.repeat(100), num_logs: '2' }, '100m'),
    /cannot work/,
    edit('admin_space_left = 5'),
  ],
});

const rotated = {
  'var/log/audit/audit.log.1': 'x'.repeat(8 * megabyte),
  'var/log/audit/audit.log.2': 'x'.repeat(8 * megabyte),
};
const small = { max_log_file: '1', space_left: '12', admin_space_left: '10' };
table('audit: rotated logs on the disk are copied into the layer', 'audit', {
  'by hand: at every boot': [
    { ...auditd(small, '20m'), ...rotated },
    /has 4\.\d MiB free, so that at every boot.*copies 16 MiB into the layer: archive/,
  ],
  'done: only those that num_logs includes': [{ ...auditd({ ...small, num_logs: '2' }, '20m'), ...rotated }],
  'done: a layer that is large enough': [{ ...auditd(small, '30m'), ...rotated }],
  'done: a small layer without them': [auditd(small, '20m')],
});

const actions = ['ignore', 'SYSLOG', 'halt', 'suspend'];
const sizes = [
  { space_left: '75', admin_space_left: '50' },
  { space_left: '30%', admin_space_left: '20%' },
  { space_left: '99%', admin_space_left: '3' },
  { space_left: undefined, admin_space_left: undefined },
];
const rotations = [
  { max_log_file_action: 'ROTATE' },
  { max_log_file_action: 'keep_logs', num_logs: '99' },
  { max_log_file_action: undefined, num_logs: undefined, max_log_file: undefined },
  { max_log_file_action: 'suspend', max_log_file: '500' },
  { num_logs: '999', max_log_file: '50' },
];

/** Returns every combination of settings with a layer of some megabytes, and with rotated logs. */
function* combinations() {
  for (const layer of [3, 10, 41, 64, 200, 5000]) {
    for (const rotated of [0, layer / 2, layer * 2]) {
      for (const action of actions) {
        for (const size of sizes)
          for (const rotation of rotations) yield { layer, rotated, action, size, rotation };
      }
    }
  }
}

const fitting = suite('proposed settings');
fitting('avoid every limit, and auditd accepts them, whatever the settings were', () => {
  let proposed = 0;
  for (const { layer, rotated, action, size, rotation } of combinations()) {
    const keys = ['space_left_action', 'admin_space_left_action', 'disk_full_action', 'disk_error_action'];
    const changes = { ...size, ...rotation, ...Object.fromEntries(keys.map((key) => [key, action])) };
    const fill = { layer: layer * megabyte, used: megabyte, rotated: rotated * megabyte };
    const { values } = parseAuditdConf(auditdText(changes));
    const edited = new Map([...values, ...necessarySettings(values, fill)]);
    const lines = fittingSettings(edited, fill);
    const after = new Map([...edited, ...lines]);
    const space = readSpaceSettings(after);
    const about = JSON.stringify({ layer, rotated, changes, lines });
    assert.equal(reachedLimits(space, fill), [], about);
    assert.not(isUnlimited(space), about);
    const text = [...after].map(([key, value]) => `${key} = ${value}\n`).join('');
    if (!Object.values(size).includes(undefined)) assert.equal(parseAuditdConf(text).problems, [], about);
    proposed += lines.length;
  }
  assert.ok(proposed > 0);
});
fitting('are none if nothing is reached', () => {
  const { values } = parseAuditdConf(auditdText());
  const fill = { layer: 256 * megabyte, used: 0, rotated: 0 };
  assert.equal([necessarySettings(values, fill), fittingSettings(values, fill)], [[], []]);
});
fitting('keep the actions if smaller sizes suffice', () => {
  const { values } = parseAuditdConf(auditdText({ disk_full_action: 'HALT' }));
  const fill = { layer: 64 * megabyte, used: megabyte, rotated: 0 };
  assert.equal(fittingSettings(values, fill), [['admin_space_left', '3']]);
});
fitting('replace the actions if open files alone reach the limits', () => {
  const { values } = parseAuditdConf(auditdText());
  const fill = { layer: 64 * megabyte, used: 63 * megabyte, rotated: 0 };
  assert.equal(fittingSettings(values, fill).at(-1), ['admin_space_left_action', 'SYSLOG']);
});
fitting.run();
