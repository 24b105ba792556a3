import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseAuditdConf } from '../../../../../agent/facts/security/auditd-conf.ts';
import {
  fittingSettings,
  isUnlimited,
  necessarySettings,
  reachedLimits,
} from '../../../../../agent/prepare/steps/audit/fitting.ts';
import { readSpaceSettings } from '../../../../../agent/prepare/steps/audit/space-settings.ts';
import { auditdText } from '../../../../harness/auditd.ts';

const megabyte = 1024 * 1024;
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
