export interface Status {
  /** st_mode. */
  mode: number;
  /** Bytes. */
  size: number;
}

/** The functions of boot/native/native.c. Every text has one character per byte (Latin-1). Failures throw an Error with `code`. */
export interface Native {
  /** The command line after the name of the program. */
  arguments: readonly string[];
  /** Reads at most `limit` bytes, from an offset if there is one. */
  read: (file: string, limit: number, offset?: number) => string;
  /** Returns the names in a directory, in no order. */
  list: (directory: string) => string[];
  /** Returns the path with every symbolic link resolved. */
  resolve: (file: string) => string;
  /** Returns st_mode of lstat(2); undefined if the file does not exist. */
  mode: (file: string) => number | undefined;
  /** Returns the status of the file to which a path leads (stat(2)); undefined if it does not exist. */
  status: (file: string) => Status | undefined;
  /** Creates a directory, unless it exists. The directory above it exists. */
  makeDirectory: (directory: string) => void;
  /** Creates a file with a text, or replaces its content. Below /proc, /sys and /dev, it does not create a file. */
  write: (file: string, text: string) => void;
  /** Creates a symbolic link, which replaces a file that exists. */
  link: (target: string, file: string) => void;
  /** Writes a text to a file descriptor. */
  print: (fd: number, text: string) => void;
  /** Sets a block device read-only (BLKROSET). */
  setReadOnly: (file: string) => void;
  /** Returns the numbers of all device-mapper devices, each as "major:minor". */
  mapped: () => string[];
  /** Returns the targets of a device-mapper device, each as "TYPE WORD", with the first word of its parameters. */
  table: (major: number, minor: number) => string[];
  /** Runs a program, and returns its output; undefined if it fails. */
  run: (program: string, ...args: string[]) => string | undefined;
  /**
   * Opens a directory in an open directory, as a place (O_PATH), without following a symbolic link. Returns its descriptor,
   * which the functions below take.
   * @param directory -1 for "/"
   */
  openAt: (directory: number, name: string) => number;
  close: (directory: number) => void;
  /**
   * Returns "MODE UID GID DEVICE INODE" of lstat(2); undefined if there is no such file.
   * @param name a name in the directory; empty for the directory itself
   */
  describe: (directory: number, name: string) => string | undefined;
  makeDirectoryAt: (directory: number, name: string, mode: number) => void;
  /** Sets owner, group and mode. */
  setOwner: (directory: number, user: number, group: number, mode: number) => void;
  /** Returns the value of an extended attribute; empty if there is none. */
  attribute: (directory: number, name: string) => string;
  /** Gives a directory an extended attribute of the model, or removes it if the model has none. */
  copyAttribute: (directory: number, name: string, model: number) => void;
  /** Returns "BLOCKS SIZE-OF-A-BLOCK FREE-INODES INODES" of the file system; the blocks are those that users can use. */
  space: (directory: number) => string;
  /** Binds a directory to another one, as a mount in a peer group of its own. @param flags of mount(2) */
  bind: (directory: number, target: number, flags: number) => void;
  /** Removes a mount from the tree, and then its mount point. Descriptors of its directories stay valid. */
  detach: (path: string) => void;
  rename: (directory: number, from: string, to: string) => void;
  /** Writes the file system of a directory to its disk. */
  sync: (directory: number) => void;
  /**
   * Runs a program of PATH in a directory. Returns its exit code, or 124 if it was ended after the time, as timeout(1); a blank;
   * and its output, at most 64 KiB.
   */
  supervise: (seconds: number, directory: number, program: string, ...args: string[]) => string;
  /**
   * Opens a block device. Fails with ENOTBLK for another file, and with EBUSY if it is to be opened exclusively and if the device,
   * or a partition of it, is mounted, is swap, or is part of another device.
   */
  openBlock: (file: string, writable: boolean, exclusive: boolean) => number;
  /** Returns "MAJOR:MINOR BYTES READ-ONLY" of an open block device; READ-ONLY is 0 or 1. */
  block: (file: number) => string;
  /** Reads at most 1 MiB of an open block device. */
  readBlock: (file: number, from: number, size: number) => string;
  /** Returns the position of the first byte that is not 0; -1 if there is none. */
  contentIn: (file: number, from: number, to: number) => number;
  /** Writes a text and zeros after it, `size` bytes in all, at most 1 MiB, to the device itself. */
  writeBlock: (file: number, from: number, text: string, size: number) => void;
  discardBlock: (file: number, from: number, size: number) => void;
  /** Lets the programs that are started from now on inherit a descriptor. */
  pass: (file: number) => void;
  /** Returns random bytes, at most 256. Waits until the kernel's generator is initialised. */
  random: (count: number) => string;
  /** Creates and activates a device-mapper device with one target. Returns its number, as "major:minor". */
  createMapping: (name: string, uuid: string, target: string, parameters: string, sectors: number) => string;
  /** Returns the number of the device-mapper device with a UUID; undefined if there is none. */
  mapping: (uuid: string) => string | undefined;
  /** Removes the device-mapper device with a UUID, if there is one. */
  removeMapping: (uuid: string) => void;
  /**
   * Runs an action in a process of its own, which shares the descriptors, so that it can be ended after a time. Returns the same as
   * supervise; the output is the text that the action returns.
   */
  apart: (seconds: number, action: () => string) => string;
  /** Returns the SHA-256 of a text, as hexadecimal digits. */
  sha256: (text: string) => string;
  /**
   * Copies a regular file of at most `most` bytes to a new file, which replaces one that exists. Fails with ENOEXEC for another kind of
   * file, also a symbolic link, and with EFBIG for a larger one.
   * @returns the SHA-256 of the content
   */
  copyFile: (from: number, name: string, to: number, newName: string, mode: number, most: number) => string;
  /** Reads a regular file; fails like copyFile. */
  readAt: (directory: number, name: string, most: number) => string;
  /** Returns the names in an open directory, in no order. */
  listAt: (directory: number) => string[];
  /** Removes a file, if it exists. */
  removeAt: (directory: number, name: string) => void;
  /** Writes a text over the beginning of a file, and to its disk. */
  overwrite: (file: string, text: string) => void;
  /** Gives this process mounts of its own, which do not propagate. */
  unshareMounts: () => void;
  /** Ignores the signals with which users and systemd end a program. */
  ignoreSignals: () => void;
  /** The program ends by SIGALRM after this time; 0: it has no limit. */
  limit: (seconds: number) => void;
  exit: (code: number) => never;
  /** Mounts a file system on a directory (mount(2)). @param data options of the file system, separated by commas */
  mountAt: (directory: number, source: string, type: string, flags: number, data: string) => void;
  /** Sets and clears options of the file system at a mount point, and of this mount. */
  remount: (directory: number, set: number, clear: number) => void;
  /** Sets and clears options of the mount alone. A directory that is no mount point is first bound to itself. */
  setOptions: (directory: number, set: number, clear: number) => void;
  /** Binds a file in an open directory to another one. Neither is a symbolic link. @param flags of mount(2) */
  bindFile: (directory: number, name: string, target: number, targetName: string, flags: number) => void;
  /** Removes the topmost mount at a path. */
  unmount: (path: string) => void;
  /** Returns the number of links of a directory. */
  links: (directory: number) => number;
  /** Returns the seconds since the last change of a file. */
  age: (file: string) => number;
  /** Appends a text to a file, with one write(2). */
  append: (file: string, text: string) => void;
  /** Waits for the lock of a directory, which ends with this process. */
  lock: (directory: string) => void;
  /** Gives a file the SELinux label of the model. Both are in directories that only root can write to. */
  copyLabel: (model: string, file: string) => void;
  /** Removes a file, if it exists. */
  remove: (file: string) => void;
  sleep: (milliseconds: number) => void;
  /** Runs a program, and returns its output, whatever its exit code; undefined if it cannot be started. */
  output: (program: string, ...args: string[]) => string | undefined;
}
