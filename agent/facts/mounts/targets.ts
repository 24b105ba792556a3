import { type Config, strictItems, words } from '../../config/keys.ts';
import { namesIfReadable } from '../../system/names.ts';
import type { SystemReader, ProbeKind } from '../../system/reader.ts';
import { mayHangCode } from './hang-safe.ts';
import type { MountTable } from './mountinfo.ts';
import { type Observed, observe, observeAsync, valueOf } from '../observed.ts';

/** The answer to each kind of probe: the name of errno, or a word that the probe prints (agent/system/probe/). */
type ProbeAnswers = Partial<Record<ProbeKind, string>>;

export interface TargetOptions {
  target: string;
  list: string[];
}

/** Parses REQUIRE_OPTIONS into targets with their required options. */
export function requiredOptions({ REQUIRE_OPTIONS }: Config): TargetOptions[] {
  return words(REQUIRE_OPTIONS).map(targetOptions);
}

/**
 * Parses MOUNT_OPTIONS into targets with the options that a sealed boot adds. Of several items for a target, all options
 * are set. The target `/run/user/*` stands for all directories directly in /run/user.
 */
export function addedOptions({ MOUNT_OPTIONS }: Pick<Config, 'MOUNT_OPTIONS'>): TargetOptions[] {
  const items = words(MOUNT_OPTIONS).flatMap((word) => (word === 'strict' ? strictItems : [word]));
  const byTarget = Object.groupBy(items.map(targetOptions), ({ target }) => target);
  return Object.entries(byTarget).map(([target, same = []]) => ({
    target,
    list: [...new Set(same.flatMap(({ list }) => list))],
  }));
}

function targetOptions(word: string): TargetOptions {
  const colon = word.indexOf(':');
  return { target: word.slice(0, colon), list: word.slice(colon + 1).split(',') };
}

/**
 * Finds the existing targets and starts to probe them. Writes, and accesses to file systems that may hang, are made by
 * child processes, because not even SIGKILL terminates a process that writes to a frozen file system (fsfreeze(8)).
 * @param reader does not access file systems that may hang (see hangSafe)
 * @param probe whether to also try the operations that REQUIRE_OPTIONS forbids
 * @returns the answers of the child processes, which run while the caller continues
 */
export async function startProbes(reader: SystemReader, config: Config, mounts: MountTable, probe: boolean) {
  const readOnly = [...new Set(['/', ...words(config.REQUIRE_READONLY)])];
  const options = requiredOptions(config);
  const added = addedOptions(config).flatMap(({ target }) =>
    target === '/run/user/*' ? userDirectories(reader) : [target],
  );
  const all = [...new Set([...readOnly, ...options.map(({ target }) => target), ...added])];
  const found = await Promise.all(all.map((target) => findTarget(reader, mounts, target)));
  const present = found.filter((each) => each.isPresent);
  const isPresent = (target: string) => present.some((each) => each.target === target);
  const written = present.filter(({ target }) => readOnly.includes(target));
  const tried = probe ? options.filter(({ target }) => isPresent(target)) : [];
  const answers = Promise.all([
    tryWrites(reader, written),
    Promise.all(tried.map((each) => tryOptions(reader, each))),
  ]).then(([writeProbes, optionProbes]) => ({
    /** The existing targets among `/` and the targets of REQUIRE_READONLY, REQUIRE_OPTIONS and MOUNT_OPTIONS. */
    present: present.map(({ target }) => target),
    /** The symbolic link in the path of each of them that has one. */
    links: new Map(present.flatMap(({ target, link }) => (link === undefined ? [] : [[target, link]]))),
    /** Maps `/` and each existing target of REQUIRE_READONLY to the name of errno, or to OK if a write succeeded. */
    writeProbes,
    /** The answers for each existing target of REQUIRE_OPTIONS; undefined if no probe was requested. */
    optionProbes: probe ? Object.fromEntries(optionProbes) : undefined,
  }));
  return { answers };
}

/** Returns the directories of the users who are logged in. On RHEL 7, they need not be mount points. */
function userDirectories(reader: SystemReader): string[] {
  return namesIfReadable(reader, '/run/user')
    .filter((name) => /^[0-9]+$/.test(name))
    .map((name) => `/run/user/${name}`);
}

/** A symbolic link in the path of a target. */
export interface TargetLink {
  link: string;
  /** The directory that the target leads to; empty if this is unknown. */
  to: string;
}

interface Target {
  target: string;
  isPresent: boolean;
  /** Whether the target is on a file system that may hang. */
  mayHang: boolean;
  link: TargetLink | undefined;
}

/**
 * Determines whether a target exists. A mount point exists and need not be accessed. A target is also treated as
 * existing if its existence cannot be determined.
 */
async function findTarget(reader: SystemReader, mounts: MountTable, target: string): Promise<Target> {
  const [stat, resolved] = [observe(() => reader.stat(target)), observe(() => reader.resolve(target))];
  const mayHang = isUnsafe(stat) || isUnsafe(resolved);
  const link = linkIn(reader, target);
  const found = {
    ...{ target, mayHang },
    link: link === undefined ? undefined : { link, to: valueOf(resolved) ?? '' },
  };
  // If the mounts cannot be read, the checks that need them report the error.
  const serving = valueOf(observe(() => mounts.serving(target)));
  if (serving?.target === target) return { ...found, isPresent: true };
  if (isUnsafe(stat)) {
    const { present } = await askChild(reader, ['present'], target);
    return { ...found, isPresent: present !== 'NO' };
  }
  return { ...found, isPresent: !('value' in stat) || stat.value !== undefined };
}

/** Returns the first symbolic link among a path and the directories above it. */
function linkIn(reader: SystemReader, target: string): string | undefined {
  const parts = target.split('/').filter((part) => part !== '');
  const paths = parts.map((_, index) => `/${parts.slice(0, index + 1).join('/')}`);
  return paths.find((path) => valueOf(observe(() => reader.stat(path)))?.kind === 'link');
}

function isUnsafe(answer: Observed<unknown>): boolean {
  return 'code' in answer && answer.code === mayHangCode;
}

/**
 * Tries a write to each target. One child process probes all targets that cannot hang. Each target that may hang has
 * its own child process, so that it does not block the others.
 */
async function tryWrites(reader: SystemReader, found: readonly Target[]): Promise<Record<string, string>> {
  const { safe = [], hanging = [] } = Object.groupBy(found, ({ mayHang }) => (mayHang ? 'hanging' : 'safe'));
  const groups = [safe, ...hanging.map((each) => [each])].filter((group) => group.length > 0);
  const answers = await Promise.all(
    groups.map(async (group) => {
      const targets = group.map(({ target }) => target);
      const answered = await observeAsync(() => reader.tryWrites(targets));
      return targets.map((target, index): [string, string] => [
        target,
        'value' in answered ? (answered.value[index] ?? '') : answered.error,
      ]);
    }),
  );
  const byTarget = new Map(answers.flat());
  return Object.fromEntries(found.map(({ target }) => [target, byTarget.get(target) ?? '']));
}

const kinds: Record<string, ProbeKind> = { noexec: 'exec', nosuid: 'suid', nodev: 'device' };

async function tryOptions(
  reader: SystemReader,
  { target, list }: TargetOptions,
): Promise<[string, ProbeAnswers]> {
  const wanted = list.flatMap((option) => kinds[option] ?? []);
  return [target, wanted.length === 0 ? {} : await askChild(reader, wanted, target)];
}

/** Probes a target in a child process. If the process cannot be started, the error is the answer. */
async function askChild(
  reader: SystemReader,
  wanted: readonly ProbeKind[],
  target: string,
): Promise<ProbeAnswers> {
  const answers = await observeAsync(() => reader.probe(wanted, target));
  if ('value' in answers) return answers.value;
  return Object.fromEntries(wanted.map((kind) => [kind, answers.error]));
}
