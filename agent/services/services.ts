import rows from './services.json' with { type: 'json' };

/**
 * A row of services.json, the table of known services and programs of RHEL 7 to 10: what a service keeps below the
 * directories that a sealed boot resets, and what it writes elsewhere on the system disk. docs/services.md is generated
 * from it. In paths, `*` stands for any characters within one component. A path contains everything below it; of several
 * paths, the one with the most components counts.
 */
export interface Service {
  id: string;
  /** The name as messages show it; by default the id. */
  name: string;
  /** The names of the packages (globs). */
  packages?: readonly string[];
  /** The names of the systemd units (globs). */
  units?: readonly string[];
  /**
   * The units that write state without an action of a user or an administrator (globs); by default `units`. If one of them
   * is enabled, its state needs a decision before anything is written.
   */
  unattended?: readonly string[];
  /**
   * What a reboot must not lose without a decision. Behind a colon, the options that the path needs in PERSIST beside
   * autostart, which the table of places decides (facts/security/places.ts).
   */
  state?: readonly string[];
  /** The directories for PERSIST, if they are not those of `state`: files are renamed between these. */
  keep?: readonly string[];
  /** The paths that may be reset, by the reason. */
  harmless?: Readonly<Record<string, readonly string[]>>;
  /**
   * The paths that may be reset, by the reason, except for files of which something shows that they are state
   * (facts/expendable.ts).
   */
  examined?: Readonly<Record<string, readonly string[]>>;
  /** Whether an empty file below the paths of `state` is no state. */
  ignoresEmpty?: boolean;
  /** What a reboot loses of `state`. */
  loses?: string;
  /** What to do, in sentences. */
  advice?: string;
  /** `reset`: in most guests, the state may be reset, although nothing but an administrator can know it. */
  proposal?: 'reset';
  /**
   * What happens if the service starts in a maintenance boot, which shows the directory of the system disk in place of a
   * kept one with autostart; continues the sentence "With it, …". Absent: it may start.
   */
  stale?: string;
  /** What the service writes outside of /var. */
  writes?: Writes;
  /** The documentation of the paths: manual pages, documents, source files. */
  source: string;
  /** Whether the paths could not be verified, because the documentation of the vendor is not public or not precise. */
  unverified?: boolean;
}

/** How the step `writes` judges changes of the system disk. */
export interface Writes {
  /** A regular expression that matches the paths. */
  paths: string;
  /**
   * `harmless`: the program works without writing. `maintenance`: the files are written, or are complete, while the disk
   * is writable. `overlay`: the directories belong in OVERLAY. `change`: an administrator must decide or change a setting.
   */
  outcome: 'harmless' | 'maintenance' | 'overlay' | 'change';
  /** The directories for OVERLAY, with their options. */
  directories?: readonly string[];
  /** Who writes and when, what a sealed boot changes for it, and what to do. */
  advice: string;
  /** The documentation, if it is not that of the row. */
  source?: string;
}

export const services = rows.map((row) => ({ name: row.id, ...row })) as readonly Service[];
