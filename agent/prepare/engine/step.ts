/** The steps of `prepare`, in the order in which they are carried out. */
export const stepIds = [
  'home',
  'tmp',
  'mtab',
  'fstab',
  'etc',
  'state',
  'scratch',
  'var',
  'audit',
  'writes',
  'exec',
  'initramfs',
  'boot',
  'image',
] as const;
export type StepId = (typeof stepIds)[number];

/** The steps of a guest. The step `image` is for images only (prepare --image). */
export const guestStepIds: readonly StepId[] = stepIds.filter((id) => id !== 'image');

/** One step of a plan. Planners only read and executors only act; they depend on this type, not on each other. */
export interface Step {
  id: StepId;
  /**
   * `done`: no change is needed. `needed`: the actions make the change. `blocked`: the change is needed, but impossible
   * now or with these options. `by hand`: the change is needed, and only an administrator can make it. `at first boot`:
   * in an image, nothing is left to do that can be done there. `at next boot`: the next maintenance boot makes the change.
   */
  state: 'done' | 'needed' | 'blocked' | 'by hand' | 'at first boot' | 'at next boot';
  /** The reasons for the state, one sentence each; for `blocked` and `by hand` they include the solution. */
  why: string[];
  /** The actions, in order; empty unless the state is `needed`. */
  actions: Action[];
  /** In an image: what is examined at the first boot, because only a running guest has it. */
  atFirstBoot?: string[];
  /** The findings of the step `writes` as data, for --json. */
  writes?: WriteGroup[];
  /** The findings of the step `state`. */
  stateFindings?: StateFinding[];
  /** Lines for a shell or for a file, each below what it is for, which are shown without a line break. */
  copyable?: { text: string; line: string }[];
  /** The findings of the step `exec` as data, for --json. */
  exec?: ExecFindings;
}

/** What the findings of the steps `state` and `writes` have in common. */
interface Finding {
  /** The packages that own the paths. */
  packages: string[];
  /** The processes that have a path open for writing now: "postgres (812)". */
  openBy: string[];
  /** What to do; empty for the state of an unknown service. */
  advice: string;
  /** Where the paths or the behaviour of the service are documented; null if it is unknown. */
  source: string | null;
  /** The items that would keep it with PERSIST; empty for a single file, and for a name that PERSIST cannot contain. */
  persist: string[];
}

/**
 * Undecided state of one service, or in one directory if the service is unknown: a sealed boot would reset it, and it is
 * neither kept (PERSIST) nor accepted (agent/prepare/steps/state/). Paths have one character per byte (latin1). Without
 * any file, an enabled unit will write it.
 */
export interface FoundState extends Finding {
  /** The id in the table of services (agent/services/services.json); null if the service is unknown. */
  service: string | null;
  /** The name of the service, or its directory. */
  name: string;
  /** The directories; for an unknown service, a directory or a single file. */
  directories: string[];
  units: string[];
  /** The number of files below the directories, and their size in bytes. */
  files: number;
  bytes: number;
  /** ISO 8601; null if nothing has been written yet. */
  lastWrite: string | null;
  /** The settings of units that name the directory: "StateDirectory= of acme.service". */
  declaredBy: string[];
  /** The numbers of files that no package owns, and of those that changed since their package was installed. */
  unowned: number;
  changed: number;
  /** What a reboot would lose. */
  loses: string;
}

/** Undecided state with what can be done about it. */
export interface StateFinding extends FoundState {
  /**
   * `keep`: with PERSIST. `reset`: accept that a sealed boot resets it. `start`: start the service once, which makes its
   * directory, and then keep it. `separate`: configure the program to write it in a directory of its own, because PERSIST
   * cannot keep a single file or a name with special characters; or accept the reset.
   */
  proposal: 'keep' | 'reset' | 'start' | 'separate';
  /** The command that carries the proposal out, or else accepts the reset. */
  command: string;
  /** The evidence, the loss and the advice, in sentences. */
  text: string;
}

/** What MOUNT_OPTIONS can restrict, and what conflicts with it (agent/prepare/steps/exec/). */
export interface ExecFindings {
  /** The paths to which a sealed boot can add mount options, with the options that it can add. */
  targets: { target: string; options: string[] }[];
  conflicts: Conflict[];
  /** The strictest value of MOUNT_OPTIONS that breaks nothing; null if the search was incomplete. */
  proposal: string | null;
}

/** A file that a mount option would make unusable, and its user. */
export interface Conflict {
  option: 'noexec' | 'nosuid' | 'nodev';
  /** The target of MOUNT_OPTIONS that contains the file. */
  target: string;
  /** One character per byte (latin1), like `by`. */
  file: string;
  /** A process, "agentd (812)", or a file that names the file: "/etc/cron.d/agent". Empty if the file only exists. */
  by: string;
}

/** Changes of the system disk by one program, or in one directory if the program is unknown (agent/prepare/steps/writes/). */
export interface WriteGroup extends Finding {
  /** The id in the table of services (agent/services/services.json); null if the writer is unknown. */
  writer: string | null;
  /** The directory of an unknown writer; null for a known writer. */
  directory: string | null;
  /** The number of changed paths. */
  count: number;
  /** Some of the paths, the last changed first. */
  paths: string[];
  /** The time of the last change, ISO 8601; null if a file is only open, or will be written. */
  newest: string | null;
  /** The processes that run from the directory of an unknown writer; empty if openBy is reason enough for an overlay. */
  programs: string[];
  /** Whether the guest is not ready to be sealed until something is done about this group. */
  blocking: boolean;
  /** services.ts; `unknown` if nothing is known about the writer; `accepted` if an administrator accepted it. */
  outcome: 'harmless' | 'maintenance' | 'overlay' | 'persist' | 'change' | 'unknown' | 'accepted';
  /** The items that the group adds to OVERLAY; `persist` is empty, because the step `state` names what PERSIST can keep. */
  overlay: string[];
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
  /** Removes files without a backup, because no copy of them may stay in an image. */
  | { do: 'erase'; files: string[] }
  | HomeAction
  | BootAction;

/**
 * The actions that give /home a new file system (agent/prepare/home/), in order.
 * `disk`: the disk as named on the command line, /dev/vdb or UUID=…
 * `wipe`: whether --wipe names the disk, so that its content may be destroyed.
 */
export type HomeAction =
  /** Creates one partition. */
  | { do: 'partition-home'; disk: string; wipe: boolean }
  | { do: 'format-home'; disk: string }
  /** Records that /home moves to the file system. */
  | { do: 'plan-home'; disk: string };

/** The actions that record what the next maintenance boot does (agent/prepare/move/). */
type BootAction =
  /** A directory moves to its place in PERSIST_STORE. `item`: the item of PERSIST, with its options. `store`: PERSIST_STORE. */
  | { do: 'plan-state'; item: string; store: string }
  /** A move that an earlier boot has not completed is continued. */
  | { do: 'plan-rest'; path: string }
  /** The old content of a moved directory is removed. */
  | { do: 'plan-purge'; path: string }
  /** Logs are rotated. */
  | { do: 'plan-clean-var' };

/** The options of the command line (agent/cli.ts says what each is for); undefined: the option was not used. */
export interface Settings {
  homeDevice?: string | undefined;
  homeUuid?: string | undefined;
  wipe?: string | undefined;
  purgeOldHome?: boolean | undefined;
  /** Items of PERSIST. */
  moveState: readonly string[];
  purgeOldState?: boolean | undefined;
  scratchDevice?: string | undefined;
  tmpSize?: string | undefined;
  tmpMode?: '1777' | '1700' | undefined;
  cleanVar?: boolean | undefined;
  /** --since: how many days the step `writes` looks back; undefined: until the last boot. */
  sinceDays?: number | undefined;
  /** --accept: one character per byte (latin1). */
  acceptPaths: readonly string[];
  /** --accept changes: changes of unknown origin up to this time are accepted, in seconds since the epoch. */
  acceptUntil?: number | undefined;
  strictMounts?: boolean | undefined;
  closeBypasses?: boolean | undefined;
  imageName?: string | undefined;
  imageVersion?: string | undefined;
  /** Shows that a planner is still busy, if it takes longer than a second. */
  progress: (text: string) => void;
}

export const noSettings: Settings = { moveState: [], acceptPaths: [], progress: () => undefined };
