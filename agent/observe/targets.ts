import { type Config, words } from '../config.ts';
import type { Host, ProbeKind } from '../host.ts';
import type { Mount, MountTable } from './mountinfo.ts';
import { observe, observeLater } from './observed.ts';

/** Answers by path, then by kind of probe: errno's name, or a word of its own (agent/probe/). */
export type Answers = Record<string, Partial<Record<ProbeKind, string>>>;

export interface Targets {
  /** `/`, and those of REQUIRE_READONLY and REQUIRE_OPTIONS that are there. */
  present: string[];
  /** By `/` and target of REQUIRE_READONLY that is there: errno's name, or OK if a write went through. */
  writeProbes: Record<string, string>;
  /** By target of REQUIRE_OPTIONS that is there; undefined where they were not asked for. */
  optionProbes: Answers | undefined;
}

/** "path:option,option" words. */
export function requiredOptions({ REQUIRE_OPTIONS }: Config): { target: string; list: string[] }[] {
  return words(REQUIRE_OPTIONS).map((word) => ({
    target: word.slice(0, word.indexOf(':')),
    list: word.slice(word.indexOf(':') + 1).split(','),
  }));
}

/**
 * Looks for the targets and tries them. What is on a file system that may hang is touched by a child process
 * only, all of them at the same time.
 * @param probe whether to try what REQUIRE_OPTIONS forbids, too
 */
export async function tryTargets(
  host: Host,
  config: Config,
  mounts: MountTable,
  probe: boolean,
): Promise<Targets> {
  const readOnly = [...new Set(['/', ...words(config.REQUIRE_READONLY)])];
  const options = requiredOptions(config);
  const all = [...new Set([...readOnly, ...options.map(({ target }) => target)])];
  const there = await Promise.all(all.map((target) => isPresent(host, mounts, target)));
  const present = all.filter((_, index) => there[index]);
  const isThere = (target: string) => present.includes(target);
  const writes = readOnly.filter(isThere).map((target) => tryOne(host, mounts, target));
  const tries = probe
    ? options.filter(({ target }) => isThere(target)).map((each) => tryOptions(host, each))
    : [];
  return {
    present,
    writeProbes: Object.fromEntries(await Promise.all(writes)),
    optionProbes: probe ? Object.fromEntries(await Promise.all(tries)) : undefined,
  };
}

/** What is a mount point is there, without a look at what may hang. Where it cannot be told, it is taken to be. */
async function isPresent(host: Host, mounts: MountTable, target: string): Promise<boolean> {
  const mount = servingOrNothing(mounts, target);
  if (mount?.target === target) return true;
  if (mount !== undefined && mayHang(mount)) {
    return (await askChild(host, ['present'], target)).present !== 'NO';
  }
  const stat = observe(() => host.stat(target));
  return !('value' in stat) || stat.value !== undefined;
}

async function tryOne(host: Host, mounts: MountTable, target: string): Promise<[string, string]> {
  const mount = servingOrNothing(mounts, target);
  if (mount === undefined || !mayHang(mount)) return [target, host.tryWrite(target)];
  return [target, (await askChild(host, ['write'], target)).write ?? ''];
}

const kinds: Record<string, ProbeKind> = { noexec: 'exec', nosuid: 'suid', nodev: 'device' };

async function tryOptions(
  host: Host,
  { target, list }: { target: string; list: string[] },
): Promise<[string, Partial<Record<ProbeKind, string>>]> {
  const wanted = list.flatMap((option) => kinds[option] ?? []);
  return [target, wanted.length === 0 ? {} : await askChild(host, wanted, target)];
}

/** A child that cannot be started has its error for an answer. */
async function askChild(host: Host, wanted: readonly ProbeKind[], target: string): ReturnType<Host['probe']> {
  const answers = await observeLater(() => host.probe(wanted, target));
  if ('value' in answers) return answers.value;
  return Object.fromEntries(wanted.map((kind) => [kind, answers.error]));
}

/** The mounts may not be known at all; each check says so itself. */
export function servingOrNothing(mounts: MountTable, target: string): Mount | undefined {
  try {
    return mounts.serving(target);
  } catch {
    return undefined;
  }
}

/** File systems that wait for a server, or for a process of the guest. */
export function mayHang({ type }: Mount): boolean {
  return /^(nfs4?|cifs|smb3|smbfs|ceph|glusterfs|9p|virtiofs|afs|lustre|gfs2|ocfs2|gpfs|autofs|fuse(blk)?|fuse\..*)$/.test(
    type,
  );
}
