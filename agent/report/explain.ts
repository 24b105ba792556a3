import type { Check } from '../checks/check.ts';
import { checks } from '../checks/index.ts';
import { UsageError } from '../lib/errors.ts';
import { wrap } from '../lib/format.ts';

/**
 * What a check means, why it matters and how to mend it.
 * @throws UsageError that names the known ones, if there is no such check
 */
export function explain(id: string, list: readonly Check[] = checks): string {
  const check = list.find((each) => each.id === id);
  if (check === undefined) {
    throw new UsageError(`no check is called ${id}; there are: ${list.map((each) => each.id).join(' ')}`);
  }
  const { title, means, why, fix } = check.documentation;
  return [
    `${id}: ${title}`,
    ...wrap(kindOf(check), 78),
    ...section('What it means', means),
    ...section('Why it matters', why),
    ...section('How to mend it', fix),
    '',
  ].join('\n');
}

/** "required, part of the seal" in words, for the manual too. */
export function kindOf({ severity, seal }: Check): string {
  const counts = severity === 'required' ? 'Required: the verdict depends on it.' : 'Advisory: only said.';
  return seal ? `${counts} Skipped where the guest is not meant to be sealed.` : counts;
}

function section(heading: string, text: string): string[] {
  return ['', heading, ...wrap(text, 76).map((line) => `  ${line}`)];
}
