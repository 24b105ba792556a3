import path from 'node:path';
import { type Writes, services } from '../../../services/services.ts';
import { isBelow } from '../../../facts/mounts/mountinfo.ts';
import { namesIfThere } from '../../../system/names.ts';
import type { SystemReader } from '../../../system/reader.ts';
import { nameOf, readableProcesses } from '../../engine/processes.ts';
import type { Snapshot } from '../../engine/snapshot.ts';
import type { ActionLog } from '../../engine/action-log.ts';
import type { RunningFile } from '../exec/running.ts';
import type { Period } from '../packages.ts';

/** A program that is known to write outside of /var. */
export interface KnownWriter extends Omit<Writes, 'paths' | 'source'> {
  id: string;
  /** Matches the paths that the program writes. */
  paths: RegExp;
  source: string;
}

/** The rows of the table of services that say what is written outside of /var. The first row that matches a path counts. */
export const knownWriters: readonly KnownWriter[] = services.flatMap(({ id, source, writes }) =>
  writes === undefined ? [] : [{ id, source, ...writes, paths: new RegExp(writes.paths) }],
);

const byTopFolder = new Map<string, readonly KnownWriter[]>();

/** Returns the row of a path; undefined if no known program writes there. */
export function knownWriterOf(path: string): KnownWriter | undefined {
  return rowsFor(path).find(({ paths }) => paths.test(path));
}

/**
 * Returns the rows whose expression contains the name of the top-level folder of a path, because testing every expression
 * would take seconds for many paths below /opt. For a file in / itself, every row is tested.
 */
function rowsFor(path: string): readonly KnownWriter[] {
  const end = path.indexOf('/', 1);
  if (end === -1) return knownWriters;
  const folder = path.slice(1, end);
  let rows = byTopFolder.get(folder);
  if (rows === undefined) {
    rows = knownWriters.filter(({ paths }) => paths.source.includes(folder));
    byTopFolder.set(folder, rows);
  }
  return rows;
}

/** Files that the scriptlets of packages write, and that no package owns: only if they change during a transaction. */
export const scriptletFiles =
  /^(\/etc\/(systemd|rc\.d|pki|ssl|fonts|gconf|dconf|pam\.d|sysconfig|profile\.d|shells|yum|dnf|nsswitch\.conf|authselect)(\/.*)?|\/usr\/(?!local\/).*)$/;

const interpreters = /^(python|perl|ruby|node|java|php|lua|tclsh|bash|dash|ksh|sh)[\d.]*$/;

/**
 * Lists what other processes run: the program and, for an interpreter, its script. Kernel threads have no program.
 * @returns what they run; and the processes that could not be examined, each with the reason
 */
export async function findRunningPrograms({
  reader,
  processes,
}: Pick<Snapshot, 'reader' | 'processes'>): Promise<{ programs: RunningFile[]; unexamined: string[] }> {
  const { pids, argumentsOf, examine, unexamined } = readableProcesses(reader, await processes());
  const programs = pids.flatMap((pid) => {
    const program = examine(pid, () => reader.processes.link(pid, 'exe'));
    if (program === undefined) return [];
    const isInterpreter = interpreters.test(path.basename(program));
    const script = isInterpreter ? interpretedScript(argumentsOf(pid)) : undefined;
    return [program, ...(script === undefined ? [] : [script])].map((file) => ({
      file,
      by: nameOf(reader, pid),
    }));
  });
  return { programs, unexamined };
}

/** Returns the first argument that is no option, if it is an absolute path (/opt/agent/run.py). */
function interpretedScript(words: readonly string[] = []): string | undefined {
  const first = words.slice(1).find((each) => !each.startsWith('-'));
  return first?.startsWith('/') === true ? first : undefined;
}

/** Returns the processes that run from a directory. */
export function runningFrom(programs: readonly RunningFile[], directory: string): string[] {
  return [...new Set(programs.filter(({ file }) => isBelow(file, directory)).map(({ by }) => by))];
}

export const keytab = '/etc/krb5.keytab';
const sssdConf = '/etc/sssd/sssd.conf';
const sssdFolder = '/etc/sssd/conf.d';
/** The programs with which sssd renews the password of the machine account (ad_machine_pw_renewal.c). */
const renewers = ['/usr/sbin/adcli', '/usr/sbin/realm'];

/**
 * Whether sssd will renew the password of the machine account and write the keytab: a search for changes finds this only
 * if a renewal, every 30 days, happens to be in its period. sssd renews for each domain with the AD provider, unless
 * ad_maximum_machine_account_password_age is 0 (sssd-ad(5)), if adcli or realm is installed.
 */
export function isKeytabRenewed(reader: SystemReader): boolean {
  if (reader.stat(keytab)?.kind !== 'file') return false;
  if (renewers.every((program) => reader.stat(program) === undefined)) return false;
  const snippets = namesIfThere(reader, sssdFolder).filter((name) => /^[^.].*\.conf$/.test(name));
  const texts = [sssdConf, ...snippets.map((name) => `${sssdFolder}/${name}`)].map(
    (file) => reader.readIfPresent(file, 65536) ?? '',
  );
  const domains = [...sectionsOf(texts)].filter(([name]) => name.startsWith('domain/'));
  return domains.some(
    ([, options]) =>
      options.get('id_provider') === 'ad' &&
      Number(options.get('ad_maximum_machine_account_password_age') ?? 30) !== 0,
  );
}

/** Parses ini files (sssd.conf(5)). A later file overrides the options of an earlier one. */
function sectionsOf(texts: readonly string[]): Map<string, Map<string, string>> {
  const sections = new Map<string, Map<string, string>>();
  for (const text of texts) {
    let options = new Map<string, string>();
    for (const line of text.split('\n')) {
      const [, section] = /^\s*\[([^\]]*)\]/.exec(line) ?? [];
      if (section !== undefined) {
        options = sections.get(section) ?? new Map<string, string>();
        sections.set(section, options);
      }
      const [, key, value = ''] = /^\s*([^#;=\s][^=\s]*)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
      if (key !== undefined) options.set(key.toLowerCase(), value.toLowerCase());
    }
  }
  return sections;
}

/** The resolution of file times (the kernel's tick), in seconds. */
const tolerance = 1;
/** The period of an action that was interrupted, so that its end is unknown, in seconds. */
const interruptedSeconds = 60;
/** Actions of earlier versions, which took hours and changed nothing on the file systems to be sealed but /home. */
const long: readonly string[] = ['copy-home', 'verify-home', 'purge-home'];

/**
 * Returns the periods in which `prepare` carried out an action, from its action log, in seconds since the epoch. What
 * changed on the disk in such a period is a result of `prepare`. Most actions take milliseconds, and those that run
 * programs take seconds.
 */
export function ownPeriods(log: ActionLog): Period[] {
  return log.flatMap(({ began, ended, action }) => {
    const from = Date.parse(began) / 1000;
    const to = ended === null ? from + interruptedSeconds : Date.parse(ended) / 1000;
    if (Number.isNaN(from) || Number.isNaN(to) || long.includes(action.do)) return [];
    return [{ from: from - tolerance, to: to + tolerance }];
  });
}
