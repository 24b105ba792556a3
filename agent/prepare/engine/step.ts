/** The steps of `prepare`, in the order in which they are carried out. */
export const stepIds = ['home', 'tmp', 'mtab', 'fstab', 'etc', 'var', 'audit', 'initramfs', 'boot'] as const;
export type StepId = (typeof stepIds)[number];

/** One step of a plan. Planners only read and executors only act; they depend on this type, not on each other. */
export interface Step {
  id: StepId;
  /**
   * `done`: no change is needed. `needed`: the actions make the change. `blocked`: the change is needed, but impossible
   * now or with these options. `by hand`: the change is needed, and only an administrator can make it.
   */
  state: 'done' | 'needed' | 'blocked' | 'by hand';
  /** The reasons for the state, one sentence each; for `blocked` and `by hand` they include the solution. */
  why: string[];
  /** The actions, in order; empty unless the state is `needed`. */
  actions: Action[];
}

/**
 * An action as data: the plan shows the action, an executor carries it out, and the action log records it. An action
 * that changes a configuration file names this file in `file`. The engine backs the file up first, and --undo restores
 * it.
 */
export type Action =
  /** Writes a file atomically. Texts have one character per byte. */
  | { do: 'edit'; file: string; before: string | null; after: string }
  /** Replaces a file by a symbolic link. */
  | { do: 'link'; file: string; to: string }
  /** Removes a file or link. */
  | { do: 'remove'; file: string }
  /**
   * Runs a program without a shell. `seconds` is its timeout. `makes` lists files that do not exist yet and that the
   * program may create; --undo removes them. `revert` says how the effect of the program ends after --undo, which
   * prints the text.
   */
  | { do: 'run'; program: string; args: string[]; seconds: number; makes?: string[]; revert?: string }
  /** Renames a file that an earlier action created, and replaces an existing file. */
  | { do: 'rename'; from: string; to: string }
  | HomeAction;

/**
 * The actions of the migration of /home (agent/prepare/home/), in order.
 * `disk`: the disk as named on the command line, /dev/vdb or UUID=…
 * `wipe`: whether --wipe names the disk, so that its content may be destroyed.
 */
export type HomeAction =
  /** Writes the progress marker to the disk and creates one partition. */
  | { do: 'partition-home'; disk: string; wipe: boolean }
  /** Creates the file system. */
  | { do: 'format-home'; disk: string }
  /** Mounts the file system for copying and copies /home while it is in use. */
  | { do: 'copy-home'; disk: string; wipe: boolean }
  /** Makes /home read-only, copies the remaining changes and compares every byte. */
  | { do: 'verify-home'; disk: string }
  /**
   * Writes the line for /home to /etc/fstab and mounts the new file system. `before` and `after` are null in a plan,
   * because the UUID of the file system may not exist yet; the action log contains both texts.
   */
  | { do: 'cutover-home'; disk: string; file: '/etc/fstab'; before: string | null; after: string | null }
  /** Removes the progress marker. */
  | { do: 'clear-home-marker'; disk: string }
  /** Removes the old content of /home from the system disk after it has been compared with the new /home. */
  | { do: 'purge-home' };

/** The options of the command line. */
export interface Settings {
  /** --home-device: a whole disk, for example /dev/vdb. */
  homeDevice: string | undefined;
  /** --home-uuid: the UUID of an existing file system. */
  homeUuid: string | undefined;
  /** --wipe: the disk whose content may be destroyed. */
  wipe: string | undefined;
  purgeOldHome: boolean;
  /** --tmp-size: size= of the tmpfs (tmpfs(5)), for example 25% or 2g; if undefined, the value in fstab or 25%. */
  tmpSize: string | undefined;
  /** --tmp-mode: mode= of the tmpfs; if undefined, the value in fstab or 1777. */
  tmpMode: '1777' | '1700' | undefined;
  /** --clean-var: whether logs may be rotated and journals vacuumed. */
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
