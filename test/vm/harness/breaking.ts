import { checkOf, statusOf } from './expect.ts';
import type { Boot } from './guest.ts';
import { look } from './scenario.ts';

/**
 * Returns a step that runs `breakIt`, then `status` (or `ask`), then `repair`, and exits with the exit code of
 * `status`.
 */
export function breaking(breakIt: string, repair: string, ask = look.status): string {
  return `{ ${breakIt}; } >&2 || exit 99; ${ask}; code=$?; { ${repair}; } >&2 || exit 98; exit $code`;
}

/** Returns the new status of each check whose status differs from its status in an earlier step. */
export function changed(boot: Boot, step: string, earlier = 'before'): Record<string, string> {
  const { report: before } = statusOf(boot, earlier);
  const { report } = statusOf(boot, step);
  const different = report.checks.filter((check) => check.status !== checkOf(before, check.id).status);
  return Object.fromEntries(different.map(({ id, status: now }) => [id, now]));
}
