import type { Finding } from '../checks/check.ts';
import { layers } from '../checks/var-overlay.ts';
import type { Disk } from '../observe/disks.ts';
import { type Enforcement, enforcement } from '../observe/enforcement.ts';
import type { Facts } from '../observe/facts.ts';
import type { Mode } from '../observe/handoff.ts';
import { version } from '../version.ts';

export type Verdict = 'sealed' | 'failed' | 'maintenance' | 'off' | 'unknown';

/** What `status --json` prints and report.json holds; report.schema.json describes it. */
export interface Report {
  schema: 1;
  agent: { version: string };
  host: { name: string; kernel: string; os: string; bootId: string };
  at: string;
  mode: Mode;
  reason: string;
  verdict: Verdict;
  enforcement: Enforcement;
  disks: Disk[];
  var: {
    overlay: boolean;
    lower: string | null;
    upper: string | null;
    assembledBy: 'initramfs' | 'late' | 'none';
    sizeBytes: number | null;
    usedBytes: number | null;
    inodes: number | null;
    inodesUsed: number | null;
  };
  checks: Finding[];
}

/** @param at when it was observed */
export function buildReport(facts: Facts, findings: Finding[], at: Date): Report {
  return {
    schema: 1,
    agent: { version },
    host: facts.identity,
    at: at.toISOString(),
    mode: facts.mode.mode,
    reason: facts.mode.reason,
    verdict: decideVerdict(facts.mode.mode, findings),
    enforcement: enforcement(facts),
    disks: 'value' in facts.disks ? facts.disks.value : [],
    var: describeVar(facts),
    checks: findings,
  };
}

/** A required check that fails outweighs one that could not be evaluated; neither ever passes. */
export function decideVerdict(mode: Mode, findings: readonly Finding[]): Verdict {
  const required = findings.filter(({ severity }) => severity === 'required');
  if (required.some(({ status }) => status === 'fail')) return 'failed';
  if (required.some(({ status }) => status === 'error')) return 'unknown';
  return mode;
}

/**
 * 0 sealed · 1 a required check failed · 2 nothing failed but the configuration · 3 could not tell · 4 not
 * sealed, by intent.
 */
export function exitCode({ verdict, checks }: Report): number {
  const failed = checks.filter(({ status, severity }) => status === 'fail' && severity === 'required');
  if (failed.length > 0 && failed.every(({ id }) => id === 'config-valid')) return 2;
  return { sealed: 0, failed: 1, unknown: 3, maintenance: 4, off: 4 }[verdict];
}

function describeVar(facts: Facts): Report['var'] {
  const overlay = facts.mounts.serving('/var')?.type === 'overlay';
  const usage = overlay && 'value' in facts.varUsage ? facts.varUsage.value : undefined;
  const handoff = 'value' in facts.handoff ? facts.handoff.value : undefined;
  return {
    overlay,
    lower: overlay ? layers.lower : null,
    upper: overlay ? layers.upper : null,
    assembledBy: overlay && handoff?.var === 'overlay' ? handoff.assembled : 'none',
    sizeBytes: usage?.sizeBytes ?? null,
    usedBytes: usage?.usedBytes ?? null,
    inodes: usage?.inodes ?? null,
    inodesUsed: usage?.inodesUsed ?? null,
  };
}
