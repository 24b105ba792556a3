/** What one part of the step `audit` found. */
export interface AuditPart {
  /** The settings to change in auditd.conf, as key and value. */
  settings: [string, string][];
  /** The reasons for these changes, one sentence each. */
  why: string[];
  /** What an administrator must change, one sentence each. */
  manual: string[];
  /** Remarks that need no change. */
  notes: string[];
}

export const nothing: AuditPart = { settings: [], why: [], manual: [], notes: [] };
