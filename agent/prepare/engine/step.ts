/** What `prepare` can do, in the order in which it is done. */
export const stepIds = ['home', 'tmp', 'mtab', 'fstab', 'etc', 'var', 'initramfs', 'boot'] as const;
export type StepId = (typeof stepIds)[number];

/**
 * One step as the planner sees it. Planners only read; executors only act; both know nothing else of each other.
 * A step is planned again after it was done: only what is then `done` is.
 */
export interface Step {
  id: StepId;
  /**
   * `done`: nothing to do. `needed`: its actions do it. `blocked`: it is needed and cannot be done here, now or with
   * these options. `by hand`: needed, and nothing that a program should do.
   */
  state: 'done' | 'needed' | 'blocked' | 'by hand';
  /** Why it has this state, a sentence each; with what to do where it is blocked or by hand. */
  why: string[];
  /** In this order; empty unless `needed`. */
  actions: Action[];
}

/** What an executor does: data, so that it can be shown before, and written into the journal of what was done. */
export type Action =
  /** Writes a file atomically, a backup of the old content first. Texts have one character a byte. */
  | { do: 'edit'; file: string; before: string | null; after: string }
  /** Puts a symbolic link in the place of what is at `file`, a backup of that first. */
  | { do: 'link'; file: string; to: string }
  /** Removes a file or link, a backup of it first. */
  | { do: 'remove'; file: string }
  /**
   * Runs a program without a shell; a limit in seconds. `makes`: files that are not there before and that it may make;
   * undone, they are removed.
   */
  | { do: 'run'; program: string; args: string[]; seconds: number; makes?: string[] }
  /** Renames a file that an action before it made; what it takes the place of is gone. */
  | { do: 'rename'; from: string; to: string }
  /** Moves /home to a disk of its own (agent/prepare/home/). */
  | { do: 'move-home'; disk: string; wipe: boolean }
  /** Removes the old content of /home from the system's disk, once the new copy is proven. */
  | { do: 'purge-home' };

/** What was asked for on the command line. */
export interface Settings {
  /** --home-device: a whole disk, /dev/vdb. */
  homeDevice: string | undefined;
  /** --home-uuid: a file system that is there already. */
  homeUuid: string | undefined;
  /** --wipe: the disk whose content may be lost. */
  wipe: string | undefined;
  purgeOldHome: boolean;
  /** mount(8)'s size= of tmpfs: 25%, 2g; undefined: 25%, or what is there already. */
  tmpSize: string | undefined;
  /** Likewise: 1777. */
  tmpMode: '1777' | '1700' | undefined;
  /** --clean-var: logs may be rotated and journals shortened. */
  cleanVar: boolean;
}
