import { type Config, words } from '../../config/config.ts';
import type { SystemReader, ProbeKind } from '../../system/reader.ts';
import { mayHangCode } from './hang-safe.ts';
import type { Mount, MountTable } from './mountinfo.ts';
import { type Observed, observe, observeAsync } from '../observed.ts';

/** By path, then by kind of probe: errno's name, or a word of the probe (agent/system/probe/). */
export type ProbeAnswers = Record<string, Partial<Record<ProbeKind, string>>>;

export interface TargetProbes {
  /** The existing targets: `/`, and those of REQUIRE_READONLY and REQUIRE_OPTIONS. */
  present: string[];
  /** By existing target of REQUIRE_READONLY, and by `/`: errno's name, or OK if a write succeeded. */
  writeProbes: Record<string, string>;
  /** By existing target of REQUIRE_OPTIONS; undefined if the options were not tried. */
  optionProbes: ProbeAnswers | undefined;
}

/** The targets of REQUIRE_OPTIONS, with their options. */
export function requiredOptions({ REQUIRE_OPTIONS }: Config): { target: string; list: string[] }[] {
  return words(REQUIRE_OPTIONS).map((word) => ({
    target: word.slice(0, word.indexOf(':')),
    list: word.slice(word.indexOf(':') + 1).split(','),
  }));
}

/**
 * Finds the existing targets and starts to probe them. Child processes make the writes and access file systems that
 * may hang, since a process that writes to a frozen file system does not even end on SIGKILL (fsfreeze(8)).
 * @param reader accesses nothing that may hang (hangSafe)
 * @param probe whether to try what REQUIRE_OPTIONS forbids, too
 * @returns the answers of the children, which run while the caller continues
 */
export async function startProbes(
  reader: SystemReader,
  config: Config,
  mounts: MountTable,
  probe: boolean,
): Promise<{ answers: Promise<TargetProbes> }> {
  const readOnly = [...new Set(['/', ...words(config.REQUIRE_READONLY)])];
  const options = requiredOptions(config);
  const all = [...new Set([...readOnly, ...options.map(({ target }) => target)])];
  const found = await Promise.all(all.map((target) => findTarget(reader, mounts, target)));
  const present = found.filter((each) => each.isPresent);
  const isPresent = (target: string) => present.some((each) => each.target === target);
  const written = present.filter(({ target }) => readOnly.includes(target));
  const tried = probe ? options.filter(({ target }) => isPresent(target)) : [];
  const answers = Promise.all([
    tryWrites(reader, written),
    Promise.all(tried.map((each) => tryOptions(reader, each))),
  ]).then(([writeProbes, optionProbes]) => ({
    present: present.map(({ target }) => target),
    writeProbes,
    optionProbes: probe ? Object.fromEntries(optionProbes) : undefined,
  }));
  return { answers };
}

interface Target {
  target: string;
  isPresent: boolean;
  /** It is on a file system that may hang. */
  mayHang: boolean;
}

/** A mount point exists: it need not be accessed. A target whose existence is unknown is taken to exist. */
async function findTarget(reader: SystemReader, mounts: MountTable, target: string): Promise<Target> {
  const [stat, usage] = [observe(() => reader.stat(target)), observe(() => reader.resolve(target))];
  const mayHang = isUnsafe(stat) || isUnsafe(usage);
  if (servingOrNothing(mounts, target)?.target === target) return { target, isPresent: true, mayHang };
  if (isUnsafe(stat)) {
    const { present } = await askChild(reader, ['present'], target);
    return { target, isPresent: present !== 'NO', mayHang };
  }
  return { target, isPresent: !('value' in stat) || stat.value !== undefined, mayHang };
}

function isUnsafe(answer: Observed<unknown>): boolean {
  return 'code' in answer && answer.code === mayHangCode;
}

/**
 * One child probes all targets, but each target that may hang has its own child, so that it does not block the
 * others.
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
  { target, list }: { target: string; list: string[] },
): Promise<[string, Partial<Record<ProbeKind, string>>]> {
  const wanted = list.flatMap((option) => kinds[option] ?? []);
  return [target, wanted.length === 0 ? {} : await askChild(reader, wanted, target)];
}

/** If the child cannot be started, its error is the answer. */
async function askChild(
  reader: SystemReader,
  wanted: readonly ProbeKind[],
  target: string,
): ReturnType<SystemReader['probe']> {
  const answers = await observeAsync(() => reader.probe(wanted, target));
  if ('value' in answers) return answers.value;
  return Object.fromEntries(wanted.map((kind) => [kind, answers.error]));
}

/** undefined also if the mounts cannot be read: the checks that need them report that. */
function servingOrNothing(mounts: MountTable, target: string): Mount | undefined {
  try {
    return mounts.serving(target);
  } catch {
    return undefined;
  }
}
