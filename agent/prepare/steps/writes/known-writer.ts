/**
 * A program that is known to write outside of /var, or to keep something in /var that is worth more than one boot, on
 * RHEL 7 to 10.
 */
export interface KnownWriter {
  id: string;
  /** Matches the paths that the program writes. */
  paths: RegExp;
  /**
   * `harmless`: the program works without writing. `maintenance`: the files are written, or are complete, while the disk
   * is writable. `overlay`: the directories belong in OVERLAY. `persist`: the directories belong in PERSIST. `change`: an
   * administrator must decide or change a setting.
   */
  outcome: 'harmless' | 'maintenance' | 'overlay' | 'persist' | 'change';
  /** The directories for OVERLAY or PERSIST, with their options. */
  directories?: readonly string[];
  /** Who writes and when, what a sealed boot changes for it, and what to do. */
  advice: string;
  /** Where this is documented: a manual page, a document, or a source file of the program. */
  source: string;
}
