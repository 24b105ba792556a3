/**
 * Splits a stream into lines. At most 64 KiB of an unterminated line are kept, which is more than the longest path
 * needs: 4096 bytes (PATH_MAX), each written as \#ooo.
 */
export function byLines(each: (line: string) => void, ends = /\n/): (text: string) => void {
  let unfinished = '';
  return (text) => {
    const lines = (unfinished + text).split(ends);
    unfinished = (lines.pop() ?? '').slice(-65536);
    for (const line of lines) if (line !== '') each(line);
  };
}
