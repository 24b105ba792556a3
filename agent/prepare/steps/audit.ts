import path from 'node:path';
import { isAuditdRunning, auditdConf, parseAuditdConf, withSetting } from '../../facts/security/audit.ts';
import { readAccounts } from '../../facts/identity.ts';
import { unlessRefused } from '../../system/image.ts';
import { namesIfThere } from '../../system/names.ts';
import type { SystemReader } from '../../system/reader.ts';
import { type Part, type Planned, stepFrom, stepOf, when } from '../engine/part.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import type { Action } from '../engine/step.ts';
import { type Setting, type Values, planAuditSpace, readSpaceSettings } from './audit/space.ts';
import { isEnabled } from './enabled-units.ts';
import { isLayered } from './layers.ts';

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

/** The group of the forwarder, and its user. */
const forwarder = 'immutafs-forward';
/** The directory of RHEL's audit log. Only root can write to it. */
const folder = '/var/log/audit';

interface LogGroup extends Partial<Omit<Part, 'actions'>> {
  settings?: Setting[];
  /** The changes of the permissions of the existing logs. */
  permissions?: Action[];
}

/**
 * Plans that the forwarder can read the audit log: auditd makes the log and its directory readable by the group that
 * log_group names (auditd.conf(5)). auditd does not start if it does not know the group.
 */
function planLogGroup(look: Snapshot, values: Values, logFile: string): LogGroup {
  const { reader, config } = look;
  if (config.FORWARD === '') {
    const lost = `FORWARD in /etc/immutafs/immutafs.conf names no server: a sealed guest loses the audit trail in ${path.dirname(logFile)} at every reboot.`;
    return { notes: when(isLayered(look, logFile), lost) };
  }
  const value = values.get('log_group') ?? 'root';
  const groups = readGroups(reader);
  const own = groups.find(({ name }) => name === forwarder);
  const current = groups.find(({ name, gid }) =>
    /^\d/.test(value) ? gid === parseInt(value, 10) : name === value,
  );
  const isRoot = value === 'root' || /^0+$/.test(value);
  const isOwn = value === forwarder || (own !== undefined && current === own);
  if (!isRoot && !isOwn) return otherGroup(reader, value, current);
  if (own === undefined) {
    const missing = `/etc/group has no group ${forwarder}, which log_group in ${auditdConf} must name, so that the forwarder can read the audit log; auditd does not start with a group that does not exist: create the group with \`groupadd -r ${forwarder}\`, and add the user to it with \`gpasswd -a ${forwarder} ${forwarder}\`.`;
    return { manual: [missing] };
  }
  if (isRoot) {
    const why = `Only root can read the audit log: log_group = ${forwarder} in ${auditdConf} lets the forwarder read it.`;
    return { settings: [['log_group', forwarder]], why: [why], permissions: permissions(reader, logFile) };
  }
  if (isReadable(reader, logFile, own.gid)) return { notes: ['The forwarder can read the audit log.'] };
  const why = `log_group in ${auditdConf} is ${value}, but the group ${forwarder} cannot read ${folder} yet.`;
  return { why: [why], permissions: permissions(reader, logFile) };
}

interface Group {
  name: string;
  gid: number;
  members: string[];
}

/** Reads /etc/group (group(5)). */
function readGroups(reader: SystemReader): Group[] {
  const text = reader.readIfPresent('/etc/group', 1024 * 1024) ?? '';
  return text.split('\n').flatMap((line) => {
    const [name = '', , gid = '', members = ''] = line.split(':');
    return /^\d+$/.test(gid) ? [{ name, gid: Number(gid), members: members.split(',') }] : [];
  });
}

/** Checks that the forwarder is a member of a group that an administrator chose. */
function otherGroup(reader: SystemReader, value: string, group: Group | undefined): LogGroup {
  const primary = () => readAccounts(reader).find(({ name }) => name === forwarder)?.gid ?? '';
  const isPrimary = (gid: string) => /^\d+$/.test(gid) && Number(gid) === group?.gid;
  const isMember = group !== undefined && (group.members.includes(forwarder) || isPrimary(primary()));
  if (isMember) return { notes: [`The forwarder can read the audit log as a member of the group ${value}.`] };
  const missing = `log_group in ${auditdConf} is ${value}, and the user ${forwarder} is not a member of this group, so that the forwarder cannot read the audit log: run \`gpasswd -a ${forwarder} ${group?.name ?? value}\`, then \`systemctl restart immutafs-forward.service\`.`;
  return { manual: [missing] };
}

/** Whether a group can read the directory and the logs in it. A log in another directory is left to auditd. */
function isReadable(reader: SystemReader, logFile: string, gid: number): boolean {
  if (path.dirname(logFile) !== folder) return true;
  const logs = namesIfThere(reader, folder).filter((name) => name.startsWith(path.basename(logFile)));
  const hasBits = (file: string, bits: number) => {
    const stat = reader.stat(file);
    return stat === undefined || (stat.gid === gid && (stat.mode & bits) === bits);
  };
  return hasBits(folder, 0o050) && logs.every((name) => hasBits(`${folder}/${name}`, 0o040));
}

/**
 * Plans to make the existing logs readable. auditd changes the directory and the current log when it reads its
 * configuration, but not the group of rotated logs, and it may not be running.
 */
function permissions(reader: SystemReader, logFile: string): Action[] {
  if (path.dirname(logFile) !== folder || reader.stat(folder)?.kind !== 'directory') return [];
  const revert = `auditd makes ${folder} accessible to root only, once it reads the restored ${auditdConf}`;
  return [
    { do: 'run', program: '/bin/chgrp', args: ['-R', forwarder, folder], seconds: 60 },
    { do: 'run', program: '/bin/chmod', args: ['-R', 'g+rX', folder], seconds: 60, revert },
  ];
}
