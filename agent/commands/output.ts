/** Where a command writes. */
export interface Output {
  stdout: (text: string) => void;
  stderr: (text: string) => void;
  /** Whether stdout is a terminal that takes colours. */
  terminal: boolean;
  /** Whether stderr is a terminal. */
  errorTerminal?: boolean;
  /** Width of the terminal; undefined if stdout is not a terminal. */
  columns?: number | undefined;
}

/** The format of a report. */
export interface ReportOptions {
  all?: boolean;
  json?: boolean;
  prometheus?: boolean;
  color: 'auto' | 'always' | 'never';
}
