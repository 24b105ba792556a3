/** Where a command's words go. */
export interface Output {
  stdout: (text: string) => void;
  stderr: (text: string) => void;
  /** Whether stdout is a terminal that takes colours. */
  terminal: boolean;
}

/** How a report is shown. */
export interface ReportOptions {
  json?: boolean;
  prometheus?: boolean;
  color: 'auto' | 'always' | 'never';
}
