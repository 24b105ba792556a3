import { isAuditdRunning, auditdConf, parseAuditdConf, withSetting } from '../../facts/security/audit.ts';
import { unlessRefused } from '../../system/image.ts';
import { type Planned, stepFrom, stepOf, when } from '../engine/part.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import type { Action } from '../engine/step.ts';
import { planLogGroup } from './audit/log-group.ts';
import { readSpaceSettings, planAuditSpace } from './audit/space.ts';
import { isEnabled } from './enabled-units.ts';

/**
 * Plans the step `audit`: the forwarder can read the audit log, and the limits of auditd fit into the overlay on /var.
 */
export function planAudit(look: Snapshot): Planned {
  const { reader } = look;
  const kind = reader.stat(auditdConf)?.kind;
  if (kind === undefined) return stepOf('done', ['auditd is not installed.']);
  if (!isEnabled(reader, 'auditd.service')) return stepOf('done', ['auditd.service is not enabled.']);
  if (kind !== 'file') {
    const why = `${auditdConf} is not a regular file, and auditd does not start: replace it by a file.`;
    return stepOf('by hand', [why]);
  }
  const before = reader.read(auditdConf, 1024 * 1024);
  const { values, problems } = parseAuditdConf(before);
  if (problems.length > 0) {
    const why = `${auditdConf}: ${problems.join('; ')}. auditd does not start, or ignores the line: correct the file.`;
    return stepOf('by hand', [why]);
  }
  const { logFile, writesLogs } = readSpaceSettings(values);
  if (!writesLogs)
    return stepOf('done', [`auditd writes no log (write_logs or log_format in ${auditdConf}).`]);
  const space = unlessRefused(() => planAuditSpace(look, values)) ?? {};
  const group = planLogGroup(look, values, logFile);
  const settings = [...(group.settings ?? []), ...(space.settings ?? [])];
  const after = settings.reduce((now, [key, value]) => withSetting(now, key, value), before);
  const edit: Action = { do: 'edit', file: auditdConf, before, after };
  const edits = when(after !== before, edit);
  const { permissions = [] } = group;
  const isChanged = edits.length + permissions.length > 0;
  const reloads = isChanged && unlessRefused(() => isAuditdRunning(reader)) === true ? [reload] : [];
  const actions = { actions: [...edits, ...reloads, ...permissions] };
  return stepFrom([actions, group, space], () => space.done ?? []);
}

const signal = ['kill', '--kill-who=main', '--signal=SIGHUP', 'auditd.service'];
/**
 * Makes a running auditd read its configuration. `systemctl reload` does not work in every release (the unit of audit 4
 * has no ExecReload=), and RefuseManualStop= refuses a restart, but not a signal. Must precede the change of
 * permissions: after an interruption between the two, the permissions show that both are still needed.
 */
const reload: Action = {
  do: 'run',
  program: '/bin/systemctl',
  args: signal,
  seconds: 60,
  revert: `auditd uses the changed settings until it reads the restored ${auditdConf}: run \`systemctl ${signal.join(' ')}\``,
};
