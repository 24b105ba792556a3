import type { Config } from '../config/config.ts';
import { type ControlResult, assessControls, controls, frameworks } from '../controls/controls.ts';
import { type LayoutOptions, type Line, layOut } from './layout.ts';
import type { Report } from './report.ts';
import { blank, statusLine, systemOf, verdictLines } from './text.ts';

/** The output of `status --controls --json`: the report, and the result of each control. */
export interface ReportWithControls extends Report {
  controls: ControlResult[];
}

export function withControls(report: Report, config: Config): ReportWithControls {
  return { ...report, controls: assessControls(report.checks, config) };
}

/**
 * Formats the results of the controls for a terminal, by framework. For a control that is not shown to be met, names the
 * checks; with `all`, names the checks of each control and what they do not show.
 */
export function formatControls(
  { controls: results, ...report }: ReportWithControls,
  view: LayoutOptions & { all: boolean },
): string {
  const lines = frameworks.flatMap(({ id, name }) => {
    const own = results.flatMap((result, index) =>
      result.framework === id ? [{ ...result, limit: controls[index]?.limit }] : [],
    );
    return [blank, { label: '  ', text: name }, ...own.flatMap((result) => controlLines(result, view.all))];
  });
  const head: Line[] = [
    { label: '', text: systemOf(report), textStyle: 'dim' },
    blank,
    ...verdictLines(report),
  ];
  const hint =
    'skip: not shown to be met, because a check was not evaluated or the configuration does not demand it.';
  return layOut([...head, ...lines, blank, { label: '  ', text: hint, textStyle: 'dim' }], view);
}

function controlLines(
  { ids, title, status, checks, notDemanded, limit }: ControlResult & { limit: string | undefined },
  all: boolean,
): Line[] {
  const named = all ? checks : checks.filter((check) => check.status !== 'pass');
  const evidence = [
    ...named.map((check) => `${check.id} ${check.status}`),
    ...notDemanded.map((demand) => `not in ${demand.replace('=', ': ')}`),
  ].join(', ');
  const text = `${ids.join(', ')}: ${title}${evidence === '' ? '' : ` (${evidence})`}`;
  return [
    statusLine(status, '  ', text),
    ...(all && limit !== undefined ? [{ label: ' '.repeat(9), text: limit, textStyle: 'dim' as const }] : []),
  ];
}
