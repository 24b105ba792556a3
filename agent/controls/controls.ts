import type { Finding, Status } from '../checks/check.ts';
import type { Config } from '../config/config.ts';
import { addedOptions, requiredOptions, type TargetOptions } from '../facts/mounts/targets.ts';
import data from './controls.json' with { type: 'json' };

/** A catalogue of controls, such as NIST SP 800-53. */
interface Framework {
  id: string;
  name: string;
  /** The document from which the numbers were taken. */
  source: string;
  controls: readonly Row[];
  /** The controls that an auditor may ask for and for which no check is evidence. */
  unanswered?: readonly { id: string; title: string; why: string }[];
}

/** A control of a framework, and the checks that are its evidence in the guest. */
export interface Control {
  framework: string;
  /** The numbers of the control; of rules of RHEL, one for each release that has another number. */
  ids: readonly string[];
  title: string;
  /** The rule of ComplianceAsCode to which the framework gives these numbers. */
  rule?: string;
  /** The checks that must pass. */
  checks: readonly string[];
  /** Checks that must pass unless there is nothing to check: they are skipped if nothing is configured. */
  ifApplicable?: readonly string[];
  /**
   * What the configuration must demand, because the checks compare the guest with the configuration: `KEY=TARGET:OPTION,…`.
   * If it demands less, the checks are no evidence for the control.
   */
  demands?: readonly string[];
  /** What the checks do not show. */
  limit?: string;
}

/** A row of controls.json. The rest of a rule on mounts follows from its name. */
type Row = Omit<Control, 'framework'> | Required<Pick<Control, 'ids' | 'rule'>>;

export const frameworks = data as readonly Framework[];
export const controls: readonly Control[] = frameworks.flatMap(({ id, controls: rows }) =>
  rows.map((row) => ({ framework: id, ...('checks' in row ? row : ofMount(row)) })),
);

/** Completes a row whose rule is `mount_option_TARGET_OPTION` or `partition_for_TARGET`, with `_` for each slash. */
function ofMount(row: Required<Pick<Control, 'ids' | 'rule'>>): Omit<Control, 'framework'> {
  const [, name = '', option] = /^(?:mount_option|partition_for)_(.*?)(?:_(no[a-z]+))?$/.exec(row.rule) ?? [];
  const target = `/${name.replaceAll('_', '/')}`;
  const [key, check] =
    target === '/var'
      ? ['VAR_OPTIONS', 'var-overlay']
      : ['/tmp', '/home'].includes(target)
        ? ['REQUIRE_OPTIONS', `${name}-options`]
        : ['MOUNT_OPTIONS', 'mount-options'];
  const evidence = { ...row, checks: [check] };
  if (option !== undefined)
    return { ...evidence, title: `${target} has ${option}`, demands: [`${key}=${target}:${option}`] };
  return {
    ...{ ...evidence, title: `${target} is a mount of its own` },
    ...(key === 'VAR_OPTIONS' ? {} : { demands: [`${key}=${target}`] }),
    ...(key === 'REQUIRE_OPTIONS'
      ? {}
      : { limit: 'A mount, not a partition: the file system is in RAM in a sealed boot.' }),
  };
}

export interface ControlResult {
  framework: string;
  ids: readonly string[];
  title: string;
  /** The worst status of the checks. `pass` only if all of them passed; `skip` if one was not evaluated in this mode. */
  status: Status;
  checks: readonly Pick<Finding, 'id' | 'status'>[];
  /** What the configuration would have to demand: `KEY=TARGET:OPTION,…`. */
  notDemanded: readonly string[];
}

const worstFirst: readonly Status[] = ['fail', 'error', 'skip', 'warn', 'pass'];

/**
 * Judges each control by the findings of its checks. A missing finding counts as `error`. A control for which the
 * configuration demands too little is not shown to be met: `skip`.
 */
export function assessControls(findings: readonly Finding[], config: Config): ControlResult[] {
  const statusOf = new Map(findings.map(({ id, status }) => [id, status]));
  const judged = (id: string) => ({ id, status: statusOf.get(id) ?? ('error' as const) });
  return controls.map(({ framework, ids, title, checks, ifApplicable = [], demands = [] }) => {
    const applicable = ifApplicable.map(judged).filter(({ status }) => status !== 'skip');
    const evidence = [...checks.map(judged), ...applicable];
    const missing = demands.filter((demand) => !isDemanded(demand, config));
    const found = [...evidence.map((check) => check.status), ...missing.map(() => 'skip' as const)];
    const status = worstFirst.find((each) => found.includes(each)) ?? 'error';
    return { framework, ids, title, status, checks: evidence, notDemanded: missing };
  });
}

function isDemanded(demand: string, config: Config): boolean {
  const [key = '', wanted = ''] = demand.split('=');
  const [target, options = ''] = wanted.split(':');
  const own = optionsOf(key, config).find((each) => each.target === target);
  return (
    own !== undefined && options.split(',').every((option) => option === '' || own.list.includes(option))
  );
}

function optionsOf(key: string, config: Config): readonly TargetOptions[] {
  if (key === 'REQUIRE_OPTIONS') return requiredOptions(config);
  if (key === 'MOUNT_OPTIONS') return addedOptions(config);
  return [{ target: '/var', list: config.VAR_OPTIONS.split(',') }];
}
