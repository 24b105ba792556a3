import { itemOptions, pathOf } from '../../../config/keys.ts';
import { words } from '../../../config/config.ts';
import { persistItemOf } from '../../../facts/security/persist-item.ts';
import { isBelow } from '../../../facts/mounts/mountinfo.ts';
import { services } from '../../../services/services.ts';
import { type Part, join, textBefore } from '../../engine/part.ts';
import type { Snapshot } from '../../engine/snapshot.ts';
import { canStart, enabledUnits, unitText } from '../enabled-units.ts';
import { unitsOf } from './findings.ts';

/**
 * Plans that services do not start with outdated state. A maintenance boot does not mount a path of PERSIST with autostart:
 * it shows the directory of the system disk, as it was when the guest was sealed for the first time. Some services do damage
 * with it, for example members of a cluster. Their units get a condition that the path is a mount point.
 */
export function planOutdated(look: Snapshot): Part {
  const { reader, config, settings } = look;
  const moved = settings.moveState.map((item) => (item.includes(':') ? item : persistItemOf(item)));
  const items = config.PERSIST_STORE === '' ? [] : [...words(config.PERSIST), ...moved];
  const hidden = items.filter((item) => {
    const options = itemOptions(item);
    return options.includes('autostart') && !options.includes('maintenance');
  });
  if (hidden.length === 0) return join();
  const enabled = [...enabledUnits(reader)];
  const known = services.filter(({ stale }) => stale !== undefined);
  return join(
    ...known.flatMap((service) => {
      const paths = hidden.map(pathOf).filter((path) => isOf(path, service.state ?? []));
      const units =
        paths.length === 0 ? [] : unitsOf(service, enabled).filter((unit) => canStart(reader, unit));
      return units.flatMap((unit) => {
        const missing = paths.filter((path) => !hasCondition(unitText(reader, unit) ?? '', path));
        return missing.length === 0 ? [] : [planCondition(look, unit, missing, service.stale ?? '')];
      });
    }),
  );
}

/** Whether a path of PERSIST holds state of a service, or a part of it. */
function isOf(path: string, state: readonly string[]): boolean {
  return state
    .map(pathOf)
    .filter((each) => !each.includes('*'))
    .some((each) => isBelow(path, each) || isBelow(each, path));
}

function hasCondition(text: string, path: string): boolean {
  return [...text.matchAll(/^\s*(?:Condition|Assert)PathIsMountPoint\s*=\s*(\S+)\s*$/gm)].some(
    ([, value]) => value === path,
  );
}

function planCondition(
  { reader }: Snapshot,
  unit: string,
  paths: readonly string[],
  stale: string,
): Partial<Part> {
  const file = `/etc/systemd/system/${unit}.d/immutafs.conf`;
  const before = textBefore(reader, file, 65536);
  const reason =
    '# A maintenance boot does not mount what PERSIST keeps here, and the directory below is outdated.';
  const lines = [reason, '[Unit]', ...paths.map((path) => `ConditionPathIsMountPoint=${path}`)];
  const start = before === null || before === '' || before.endsWith('\n') ? (before ?? '') : `${before}\n`;
  return {
    why: [
      `Maintenance boots show the outdated ${paths.join(', ')} of the system disk. With it, ${stale}: ${unit} will not start then.`,
    ],
    actions: [{ do: 'edit', file, before, after: `${start}${lines.join('\n')}\n` }],
  };
}
