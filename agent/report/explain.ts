import { type Check, headings } from '../checks/check.ts';
import { type DocumentedCheck, documentedChecks } from '../checks/documented.ts';
import { UsageError } from '../lib/errors.ts';
import { wrap } from '../lib/format.ts';

/**
 * Formats the documentation of a check for the terminal.
 * @throws UsageError that lists all checks, if there is no check with this id
 */
export function explain(id: string, list: readonly DocumentedCheck[] = documentedChecks): string {
  const check = list.find((each) => each.id === id);
  if (check === undefined) {
    throw new UsageError(
      `no check is called ${id}; the checks are: ${list.map((each) => each.id).join(' ')}`,
    );
  }
  const { title, means, why, fix, page } = check;
  return [
    `${id}: ${title}`,
    ...wrap(describeKind(check), 78),
    ...section(headings.means, means),
    ...section(headings.why, why),
    ...section(headings.fix, fix),
    ...(page === undefined ? [] : section(headings.page, pageFile(page))),
    '',
  ].join('\n');
}

/** Returns the path of a page (Documentation) in the package. */
export function pageFile(page: string): string {
  return `/usr/share/doc/immutafs-agent/${page}`;
}

/**
 * Describes whether the verdict depends on a check and when the check is skipped. The manual page uses this text too.
 */
export function describeKind({ severity, isRequired, seal }: Check): string {
  const unless = isRequired === undefined ? '' : ` unless ${isRequired.reason}`;
  const counts =
    severity === undefined
      ? 'Required: the verdict depends on this check.'
      : `Advisory: does not affect the verdict${unless}.`;
  return seal ? `${counts} Skipped in maintenance mode and with MODE=off.` : counts;
}

function section(heading: string, text: string): string[] {
  return ['', heading, ...wrap(text, 76).map((line) => `  ${line}`)];
}
