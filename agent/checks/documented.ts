import type { Check, Documentation } from './check.ts';
import { documentation } from './documentation.ts';
import { checks } from './index.ts';

export type DocumentedCheck = Check & Documentation;

/** All checks with their documentation, in the order in which the report lists them. */
export const documentedChecks: readonly DocumentedCheck[] = withDocumentation(checks, documentation);

/** @throws Error if a check has no documentation, or documentation has no check */
export function withDocumentation(
  list: readonly Check[],
  texts: Readonly<Record<string, Documentation>>,
): DocumentedCheck[] {
  const surplus = Object.keys(texts).find((id) => list.every((check) => check.id !== id));
  if (surplus !== undefined) throw new Error(`agent/checks/${surplus}.md: no check has this id`);
  return list.map((check) => {
    const found = texts[check.id];
    if (found === undefined) throw new Error(`agent/checks/${check.id}.md does not exist`);
    return { ...check, ...found };
  });
}
