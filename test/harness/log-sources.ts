import { forEachLine } from '../../agent/forward/encode/file-lines.ts';
import { LogFiles, type LogFilesOptions } from '../../agent/forward/files/log-files.ts';
import { type LineChunk, filePosition } from '../../agent/forward/stages.ts';

/** Returns log files that are read from their beginning, as if nothing was forwarded before. */
export function logFiles(patterns: readonly string[], more: Partial<LogFilesOptions> = {}): LogFiles {
  return new LogFiles({
    ...{ patterns, records: [], auditFile: '', trusted: true, booted: () => 0, firstOffset: () => 0 },
    trouble: (reason) => {
      throw new Error(reason);
    },
    ...more,
  });
}

/** Returns all chunks that can be read now. @param now the time in milliseconds */
export function chunksOf(files: LogFiles, now = 0): LineChunk[] {
  const chunks: LineChunk[] = [];
  for (;;) {
    const chunk = files.next(now);
    if (chunk === undefined) return chunks;
    chunks.push(chunk);
  }
}

/** Reads and acknowledges everything that can be read now. @returns the lines */
export function forwardedLines(files: LogFiles, now = 0): string[] {
  const chunks = chunksOf(files, now);
  for (const { id, offset, text } of chunks) files.acknowledge(filePosition(id, offset + text.length));
  return linesOf(chunks);
}

/** Returns the lines of chunks. */
export function linesOf(chunks: readonly LineChunk[]): string[] {
  const lines: string[] = [];
  for (const chunk of chunks) forEachLine(chunk, (line) => lines.push(line));
  return lines;
}
