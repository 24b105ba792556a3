import { stateRuleOf } from '../../services/state-rules.ts';
import { persistItem } from '../../facts/security/places.ts';
import { words } from '../../config/config.ts';
import { type Context, type Seen, compare, proposedFolders } from './observations.ts';
import type { RehearsalReport, Request } from './record.ts';
import { pathOf } from '../../config/keys.ts';

/** The state of the rehearsal that the report adds to what was seen. */
export interface State extends Pick<
  RehearsalReport,
  'bootId' | 'began' | 'savedAt' | 'uptimeSeconds' | 'endedBy' | 'settledSeconds' | 'sources'
> {
  /** The number of refused writes that were not kept. */
  omitted: number;
}

/** Builds the report. Pure. */
export function buildReport(
  request: Pick<Request, 'id' | 'limitSeconds' | 'baseline'>,
  state: State,
  seen: Seen,
  context: Omit<Context, 'baseline' | 'writable'>,
): RehearsalReport {
  const { config } = context;
  const writable = [config.OVERLAY, config.SCRATCH].flatMap(words).map(pathOf);
  const found = compare(seen, { ...context, baseline: request.baseline, writable });
  const folders = proposedFolders(found.observations);
  const why = reasons(state, found.observations.filter(({ blocking }) => blocking).length);
  return {
    ...{ schema: 1, id: request.id, limitSeconds: request.limitSeconds },
    bootId: state.bootId,
    began: state.began,
    savedAt: state.savedAt,
    uptimeSeconds: Math.round(state.uptimeSeconds),
    endedBy: state.endedBy,
    settledSeconds: state.settledSeconds === null ? null : Math.round(state.settledSeconds),
    ready: why.length === 0,
    why,
    observations: found.observations,
    omitted: found.omitted + state.omitted,
    growth: seen.growth,
    add: {
      overlay: line('OVERLAY', config.OVERLAY, folders.filter(isResettable)),
      persistInstead: line('PERSIST', config.PERSIST, folders, persistItem),
    },
    sources: state.sources,
  };
}

/** Whether an overlay may be proposed for a folder. It would lose the state of a known service at every reboot. */
function isResettable(folder: string): boolean {
  return stateRuleOf(folder)?.kind !== 'state';
}

/** Returns the complete line with the folders added; empty if there are none to add. */
function line(
  key: string,
  present: string,
  folders: readonly string[],
  itemOf = (folder: string) => folder,
): string {
  const items = words(present);
  const known = new Set(items.map(pathOf));
  const added = folders.filter((folder) => !known.has(folder)).map(itemOf);
  return added.length === 0 ? '' : `${key}=${[...items, ...added].join(' ')}`;
}

function reasons({ settledSeconds, sources }: State, blocking: number): string[] {
  return [
    ...(settledSeconds === null ? ['The boot was not complete.'] : []),
    ...(blocking === 0 ? [] : [blocking === 1 ? '1 problem was found.' : `${blocking} problems were found.`]),
    ...(sources.journal === '' ? [] : [`The journal could not be read: ${sources.journal}.`]),
  ];
}
