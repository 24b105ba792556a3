import { isBelow } from '../../../facts/mounts/mountinfo.ts';
import { pathOf } from '../../../config/keys.ts';
import { decodeBytes } from '../../../lib/format.ts';
import { type Service, services } from '../../../services/services.ts';
import { globPattern, stateRuleOf } from '../../../services/state-rules.ts';
import type { Snapshot } from '../../engine/snapshot.ts';
import type { FoundState } from '../../engine/step.ts';
import { canStart, enabledUnits } from '../enabled-units.ts';
import { isLayered } from '../layers.ts';
import { type Evidence, describeService, unitsOf } from './findings.ts';

/**
 * Returns a finding for each enabled unit that has written no state yet, and will: a service in the table of services, and
 * a service with StateDirectory= (systemd.exec(5)). Its first sealed boot would lose what it writes.
 * @param decided the paths about which an administrator has decided
 * @param found what was found by files
 */
export function findExpected(
  look: Snapshot,
  { declarations }: Pick<Evidence, 'declarations'>,
  decided: readonly string[],
  found: readonly FoundState[],
): FoundState[] {
  const enabled = [...enabledUnits(look.reader)];
  const expected = [...found];
  const isUndecided = (path: string) =>
    !decided.some((each) => isBelow(path, each)) &&
    !expected.some(({ directories, persist }) =>
      [...directories, ...persist.map(pathOf)].some((each) => isBelow(path, each)),
    ) &&
    isOnSystemDisk(look, path);
  for (const service of services) {
    if (service.state === undefined || expected.some((each) => each.service === service.id)) continue;
    const units = writersOf(look, service, enabled);
    const directories = units.length === 0 ? [] : directoriesOf(look, service).filter(isUndecided);
    if (directories.length > 0) expected.push(findingOf(look, service, directories, units));
  }
  for (const { unit, path, setting } of declarations) {
    if (setting !== 'StateDirectory=' || !isOwnDirectory(path) || !isUndecided(path)) continue;
    const rule = stateRuleOf(path);
    // The table knows better who writes there.
    if (rule?.kind === 'harmless' || rule?.service.unattended !== undefined) continue;
    if (!enabled.some((each) => starts(each, unit)) || !canStart(look.reader, unit)) continue;
    const finding = findingOf(look, rule?.service, [path], [unit]);
    expected.push({ ...finding, declaredBy: [`${setting} of ${unit}`] });
  }
  return expected.slice(found.length);
}

function findingOf(
  { reader }: Snapshot,
  service: Service | undefined,
  directories: string[],
  units: string[],
): FoundState {
  const options = stateRuleOf(directories[0] ?? '')?.options ?? '';
  return {
    ...describeService(reader, service, directories, options),
    ...{ units, packages: [], files: 0, bytes: 0, lastWrite: null },
    ...{ openBy: [], declaredBy: [], unowned: 0, changed: 0 },
  };
}

/** Returns the enabled units of a service that write its state without an action of a user or an administrator. */
function writersOf({ reader }: Snapshot, service: Service, enabled: readonly string[]): string[] {
  const patterns = service.unattended?.map(globPattern);
  return unitsOf(service, enabled)
    .filter((unit) => patterns === undefined || patterns.some((pattern) => pattern.test(unit)))
    .filter((unit) => canStart(reader, unit));
}

/** Returns the directories of a service that exist; or else the first one, which the service makes. */
function directoriesOf({ reader }: Snapshot, { state = [], keep = state }: Service): string[] {
  const paths = keep.map(pathOf).filter((path) => !path.includes('*'));
  const there = paths.filter((path) => reader.stat(path)?.kind === 'directory');
  return there.length > 0 ? there : paths.slice(0, 1);
}

/** Whether a path is on a file system that will be sealed. */
function isOnSystemDisk(look: Snapshot, path: string): boolean {
  const shown = decodeBytes(path);
  if (isBelow(path, '/var')) return isLayered(look, shown);
  return look.systemDisks.holds(look.mounts.serving(shown));
}

/** Whether a path is a directory below one of those in which each service has its own. */
function isOwnDirectory(path: string): boolean {
  return !['/var/lib', '/var/lib/private'].includes(path);
}

/** Whether an enabled unit starts a service: the service, or a socket, timer or path unit of its name. */
function starts(enabled: string, service: string): boolean {
  const [, name = '', kind] = /^(.*)\.(service|socket|timer|path)$/.exec(enabled) ?? [];
  return (
    kind !== undefined &&
    `${name.replace(/@.*/, '@')}.service` === service.replace(/@[^.]*(?=\.service$)/, '@')
  );
}
