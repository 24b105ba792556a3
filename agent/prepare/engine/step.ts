/** The steps of `prepare`, in the order in which they are carried out. */
export const stepIds = ['home', 'tmp', 'mtab', 'fstab', 'etc', 'var', 'initramfs', 'boot'] as const;
export type StepId = (typeof stepIds)[number];

/** One step of a plan. Planners only read, executors only act, and neither knows the other. */
export interface Step {
  id: StepId;
  /**
   * `done`: nothing to do. `needed`: its actions do it. `blocked`: needed, but impossible now or with these options.
   * `by hand`: needed, and only an administrator can do it.
   */
  state: 'done' | 'needed' | 'blocked' | 'by hand';
  /** The reasons for the state, a sentence each; for `blocked` and `by hand` with what to do. */
  why: string[];
  /** In the order in which they are carried out; empty unless the state is `needed`. */
  actions: Action[];
}

/**
 * An action as data: the plan shows it, an executor carries it out, and the action log records it. An action that changes
 * a configuration file names it in `file`: the engine makes a backup first, and --undo restores it.
 */
export type Action =
  /** Writes a file atomically. Texts have one character a byte. */
  | { do: 'edit'; file: string; before: string | null; after: string }
  /** Puts a symbolic link in the place of a file. */
  | { do: 'link'; file: string; to: string }
  /** Removes a file or link. */
  | { do: 'remove'; file: string }
  /**
   * Runs a program without a shell; a limit in seconds. `makes`: files that do not exist before and that it may create;
   * --undo removes them.
   */
  | { do: 'run'; program: string; args: string[]; seconds: number; makes?: string[] }
  /** Renames a file that an earlier action created, over an existing one. */
  | { do: 'rename'; from: string; to: string }
  | HomeAction;

/**
 * The migration of /home (agent/prepare/home/), in this order.
 * `disk`: as named on the command line, /dev/vdb or UUID=…
 * `wipe`: whether --wipe names it, so that its content may be lost.
 */
export type HomeAction =
  /** Marks the disk as ours and gives it one partition. */
  | { do: 'partition-home'; disk: string; wipe: boolean }
  /** Makes the file system. */
  | { do: 'format-home'; disk: string }
  /** Mounts the file system for copying and copies /home while it is in use. */
  | { do: 'copy-home'; disk: string; wipe: boolean }
  /** Makes /home read-only, copies the rest and compares every byte. */
  | { do: 'verify-home'; disk: string }
  /**
   * Writes the line for /home to /etc/fstab and mounts the new file system. Its UUID may not exist before: a plan has
   * null in `after`, and the action log the texts.
   */
  | { do: 'cutover-home'; disk: string; file: '/etc/fstab'; before: string | null; after: string | null }
  /** Removes the progress marker. */
  | { do: 'clear-home-marker'; disk: string }
  /** Removes the old content of /home from the system disk, once the new copy is proven. */
  | { do: 'purge-home' };

/** The options of the command line. */
export interface Settings {
  /** --home-device: a whole disk, /dev/vdb. */
  homeDevice: string | undefined;
  /** --home-uuid: an existing file system. */
  homeUuid: string | undefined;
  /** --wipe: the disk whose content may be lost. */
  wipe: string | undefined;
  purgeOldHome: boolean;
  /** size= of the tmpfs (tmpfs(5)): 25%, 2g; undefined: as in fstab, else 25%. */
  tmpSize: string | undefined;
  /** mode= of the tmpfs; undefined: as in fstab, else 1777. */
  tmpMode: '1777' | '1700' | undefined;
  /** --clean-var: logs may be rotated and journals shortened. */
  cleanVar: boolean;
}

export const noSettings: Settings = {
  homeDevice: undefined,
  homeUuid: undefined,
  wipe: undefined,
  purgeOldHome: false,
  tmpSize: undefined,
  tmpMode: undefined,
  cleanVar: false,
};
