import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

interface Coverage {
  result: {
    url: string;
    functions: { ranges: { startOffset: number; endOffset: number; count: number }[] }[];
  }[];
}

/**
 * Returns which offsets of a module the processes of a test executed. Node keeps the offsets when it strips types.
 * @param folder NODE_V8_COVERAGE, with one file for each process
 */
export function executedIn(folder: string, file: string): (offset: number) => boolean {
  const url = pathToFileURL(path.resolve(file)).href;
  const runs = fs.readdirSync(folder).flatMap((name) => {
    const { result } = JSON.parse(fs.readFileSync(path.join(folder, name), 'utf8')) as Coverage;
    return result.filter((script) => script.url === url);
  });
  return (offset) =>
    runs.some(({ functions }) => {
      const around = functions
        .flatMap(({ ranges }) => ranges)
        .filter(({ startOffset, endOffset }) => startOffset <= offset && offset < endOffset);
      const size = (range: (typeof around)[number]) => range.endOffset - range.startOffset;
      const [innermost] = around.sort((a, b) => size(a) - size(b));
      return innermost !== undefined && innermost.count > 0;
    });
}
