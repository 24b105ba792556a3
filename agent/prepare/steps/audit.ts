import { isAuditdRunning } from '../../facts/security/audit-trail.ts';
import { auditdConf, parseAuditdConf, withSetting } from '../../facts/security/auditd-conf.ts';
import { unlessRefused } from '../../system/image.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import type { Action, Step } from '../engine/step.ts';
import { type LogGroupPart, planLogGroup } from './audit/log-group.ts';
import { type AuditPart, nothing } from './audit/part.ts';
import { readSpaceSettings } from './audit/space-settings.ts';
import { planAuditSpace } from './audit/space.ts';
import { isEnabled } from './enabled-units.ts';

/**
 * Plans the step `audit`: the forwarder can read the audit log, and the limits of auditd fit into the overlay on /var.
 */
export function planAudit(look: Snapshot): Step {
  const { reader } = look;
  const done = (why: string): Step => ({ id: 'audit', state: 'done', why: [why], actions: [] });
  const kind = reader.stat(auditdConf)?.kind;
  if (kind === undefined) return done('auditd is not installed.');
  if (!isEnabled(reader, 'auditd.service')) return done('auditd.service is not enabled.');
  if (kind !== 'file')
    return byHand([`${auditdConf} is not a regular file, and auditd does not start: replace it by a file.`]);
  const text = reader.read(auditdConf, 1024 * 1024);
  const { values, problems } = parseAuditdConf(text);
  if (problems.length > 0) {
    return byHand([
      `${auditdConf}: ${problems.join('; ')}. auditd does not start, or ignores the line: correct the file.`,
    ]);
  }
  const { logFile, writesLogs } = readSpaceSettings(values);
  if (!writesLogs) return done(`auditd writes no log (write_logs or log_format in ${auditdConf}).`);
  const space = unlessRefused(() => planAuditSpace(look, values)) ?? nothing;
  return combine(look, text, planLogGroup(look, values, logFile), space);
}

/** Combines both parts into one step, with one change of the file. */
function combine({ reader }: Snapshot, before: string, group: LogGroupPart, space: AuditPart): Step {
  const after = [...group.settings, ...space.settings].reduce(
    (now, [key, value]) => withSetting(now, key, value),
    before,
  );
  const edits: Action[] = after === before ? [] : [{ do: 'edit', file: auditdConf, before, after }];
  const manual = [...group.manual, ...space.manual];
  if (edits.length > 0 || group.permissions.length > 0) {
    const why = [...group.why, ...space.why, ...manual, ...group.notes];
    const reloads = unlessRefused(() => isAuditdRunning(reader)) === true ? [reload] : [];
    return { id: 'audit', state: 'needed', why, actions: [...edits, ...reloads, ...group.permissions] };
  }
  if (manual.length > 0) return byHand([...manual, ...group.notes]);
  return { id: 'audit', state: 'done', why: [...space.notes, ...group.notes], actions: [] };
}

function byHand(why: string[]): Step {
  return { id: 'audit', state: 'by hand', why, actions: [] };
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
