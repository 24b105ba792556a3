import { SystemError } from '../lib/errors.ts';
import { type Change, type Found, isUnknown } from '../changes/change.ts';
import { diffFile } from '../changes/file-diff.ts';
import { ignoredByDefault, ignores } from '../changes/category.ts';
import { changeObject, jsonLine, unknownObject } from '../changes/json.ts';
import { describeChange, summarize } from '../changes/summary.ts';
import { type OpenLayer, withFile } from '../changes/walk/place.ts';
import { sha256Of } from '../system/layers/content.ts';
import type { ChangesOptions } from './changes-options.ts';
import type { Output } from './output.ts';

/** How changes are printed. */
interface View {
  /** @returns the error if a file could not be read */
  show(found: Found, layer: OpenLayer | undefined): Promise<string | undefined>;
  end(isComplete: boolean): void;
}

/** Returns the view that the options select. */
export function viewFor(output: Output, options: ChangesOptions): View {
  if (options.json === true) return jsonView(output, options.sha256 === true);
  if (options.diff === true) return diffView(output);
  if (options.all === true) return listView(output);
  const patterns = options.ignore?.map((each) => Buffer.from(each).toString('latin1')) ?? ignoredByDefault;
  const summary = summarize(ignores(patterns.filter((each) => each !== '')));
  return {
    show: (found) => {
      if (!isUnknown(found)) summary.add(found);
      return Promise.resolve(undefined);
    },
    end: (isComplete) =>
      output.stdout(
        summary
          .lines(isComplete)
          .map((line) => `${line}\n`)
          .join(''),
      ),
  };
}

/** The number of characters that are written at once. A write for each line would take a quarter of the time. */
const written = 65536;

/** Collects lines, but prints the first one at once. */
function linePrinter(output: Output): { print: (line: string) => void; end: () => void } {
  let waiting = '';
  let isFirst = true;
  const flush = () => {
    if (waiting !== '') output.stdout(waiting);
    waiting = '';
  };
  return {
    print: (line) => {
      waiting += line;
      if (isFirst || waiting.length >= written) flush();
      isFirst = false;
    },
    end: flush,
  };
}

function jsonView(output: Output, withHash: boolean): View {
  const { print, end } = linePrinter(output);
  return {
    show: async (found, layer) => {
      if (isUnknown(found)) {
        print(jsonLine(unknownObject(found)));
        return undefined;
      }
      const hash = withHash ? await hashOf(found, layer) : {};
      const { error, ...more } = { error: undefined, ...hash };
      print(jsonLine({ ...changeObject(found), ...more }));
      return error;
    },
    end,
  };
}

/** Returns the SHA-256 of a regular file in a layer; nothing for other changes. */
export async function hashOf(
  change: Change,
  layer: OpenLayer | undefined,
): Promise<{ sha256?: string; error?: string }> {
  const { at, type } = change;
  if (layer === undefined || at === undefined || type !== 'file') return {};
  try {
    return { sha256: await withFile(layer.upper, at, sha256Of) };
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return { error: error.message };
  }
}

function diffView(output: Output): View {
  return {
    show: async (found, layer) => {
      if (isUnknown(found)) return undefined;
      const { lines, error } = await diffFile(found, layer);
      output.stdout(lines.map((line) => `${line}\n`).join(''));
      return error;
    },
    end: () => undefined,
  };
}

function listView(output: Output): View {
  const { print, end } = linePrinter(output);
  return {
    show: (found) => {
      if (!isUnknown(found)) print(`${describeChange(found)}\n`);
      return Promise.resolve(undefined);
    },
    end,
  };
}
