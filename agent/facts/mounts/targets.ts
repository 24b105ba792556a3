import { type Config, words } from '../../config/config.ts';
import type { SystemReader, ProbeKind } from '../../system/reader.ts';
import { mayHangCode } from './hang-safe.ts';
import type { Mount, MountTable } from './mountinfo.ts';
import { type Observed, observe, observeLater } from '../observed.ts';

export { mayHang } from './hanging.ts';

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
 * Looks for the targets and begins to try them. Writes, and everything on a file system that may hang, are tried by
 * child processes, since a process that writes to a frozen file system does not even end on SIGKILL (fsfreeze(8)).
 * @param host touches nothing that may hang (cautious)
 * @param probe whether to try what REQUIRE_OPTIONS forbids, too
 * @returns what the children answer; they work while the caller does something else
 */
export async function beginTargets(
  reader: SystemReader,
  config: Config,
  mounts: MountTable,
  probe: boolean,
): Promise<{ answers: Promise<Targets> }> {
  const readOnly = [...new Set(['/', ...words(config.REQUIRE_READONLY)])];
  const options = requiredOptions(config);
  const all = [...new Set([...readOnly, ...options.map(({ target }) => target)])];
  const found = await Promise.all(all.map((target) => findTarget(reader, mounts, target)));
  const present = found.filter(({ isPresent }) => isPresent);
  const isThere = (target: string) => present.some((each) => each.target === target);
  const written = present.filter(({ target }) => readOnly.includes(target));
  const tried = probe ? options.filter(({ target }) => isThere(target)) : [];
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

interface Found {
  target: string;
  isPresent: boolean;
  /** It is on a file system that may hang. */
  mayHang: boolean;
}

/** What is a mount point is there, without a look at what may hang. Where it cannot be told, it is taken to be. */
async function findTarget(reader: SystemReader, mounts: MountTable, target: string): Promise<Found> {
  const [stat, usage] = [observe(() => reader.stat(target)), observe(() => reader.resolve(target))];
  const mayHang = isRefused(stat) || isRefused(usage);
  if (servingOrNothing(mounts, target)?.target === target) return { target, isPresent: true, mayHang };
  if (isRefused(stat)) {
    const { present } = await askChild(reader, ['present'], target);
    return { target, isPresent: present !== 'NO', mayHang };
  }
  return { target, isPresent: !('value' in stat) || stat.value !== undefined, mayHang };
}

function isRefused(answer: Observed<unknown>): boolean {
  return 'code' in answer && answer.code === mayHangCode;
}

/** One child for all of them, but one each for what may hang: that must not hold up the others. */
async function tryWrites(reader: SystemReader, found: readonly Found[]): Promise<Record<string, string>> {
  const { calm = [], hanging = [] } = Object.groupBy(found, ({ mayHang }) => (mayHang ? 'hanging' : 'calm'));
  const groups = [calm, ...hanging.map((each) => [each])].filter((group) => group.length > 0);
  const answers = await Promise.all(
    groups.map(async (group) => {
      const targets = group.map(({ target }) => target);
      const answered = await observeLater(() => reader.tryWrites(targets));
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

/** A child that cannot be started has its error for an answer. */
async function askChild(
  reader: SystemReader,
  wanted: readonly ProbeKind[],
  target: string,
): ReturnType<SystemReader['probe']> {
  const answers = await observeLater(() => reader.probe(wanted, target));
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
