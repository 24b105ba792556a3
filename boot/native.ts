export interface Status {
  /** st_mode. */
  mode: number;
  /** Bytes. */
  size: number;
}

/** The functions of boot/native.c. Every text has one character per byte (Latin-1). Failures throw an Error with `code`. */
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
  /** Creates a file with a text, or replaces its content. */
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
  /** The program ends by SIGALRM after this time. */
  limit: (seconds: number) => void;
  exit: (code: number) => never;
}
