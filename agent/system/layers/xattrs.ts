import { getSystemErrorName } from 'node:util';
import { errorMessage } from '../../lib/errors.ts';
import { startChild } from '../child.ts';

/** The program that reads extended attributes (packaging/programs/read-xattrs.c), because Node.js has no getxattr(2). */
export const readXattrsProgram = '/usr/libexec/immutafs/read-xattrs';

/** The extended attributes of a file: names and values, one character per byte (latin1). */
export type Xattrs = ReadonlyMap<string, string>;

/** The attributes of a file, or the error code of the first failure. */
type Answer = Xattrs | { error: string };

/** Reads extended attributes (xattr(7)) in a child process that serves every request of this process. */
export type XattrReader = ReturnType<typeof xattrReader>;

/** The time until an answer, in milliseconds. Attributes of local files take microseconds. */
const deadline = 30_000;

interface Request {
  parser: ReturnType<typeof answerParser>;
  resolve: (answers: Answer[]) => void;
  reject: (error: Error) => void;
  timer: NodeJS.Timeout;
}

/** Starts the program at the first request. @param program another program, for tests */
export function xattrReader(program = readXattrsProgram) {
  let child: ReturnType<typeof start> | undefined;
  let request: Request | undefined;
  let failed: Error | undefined;
  const fail = (reason: string) => {
    failed ??= new Error(`${program}: ${reason}`);
    if (request !== undefined) clearTimeout(request.timer);
    request?.reject(failed);
    request = undefined;
  };
  const receive = (part: Buffer) => {
    if (request === undefined) return;
    try {
      const answers = request.parser.add(part);
      if (answers === undefined) return;
      clearTimeout(request.timer);
      request.resolve(answers);
      request = undefined;
    } catch (error) {
      fail(errorMessage(error));
    }
  };
  return {
    /**
     * Reads the attributes of files. Does not follow a symbolic link in the last component of a path.
     * @param paths without null characters, one character per byte (latin1)
     * @returns for each path the attributes, or the error code of the first failure
     * @throws Error if the program cannot be run, ends, or does not answer within 30 s. It is no SystemError, because then
     *     nothing can be compared.
     */
    read: async (paths: readonly string[]): Promise<Answer[]> => {
      if (paths.length === 0) return [];
      child ??= start(program, receive, fail);
      const { stdin } = child;
      return new Promise((resolve, reject) => {
        if (failed !== undefined) {
          reject(failed);
          return;
        }
        if (request !== undefined) throw new Error('a request for extended attributes is still open');
        const timer = setTimeout(() => fail('does not answer'), deadline);
        request = { parser: answerParser(paths.length), resolve, reject, timer };
        stdin.write(Buffer.from(paths.map((each) => `${each}\0`).join(''), 'latin1'));
      });
    },
    close: (): void => {
      child?.stdin.destroy();
      child?.stdout.destroy();
      child?.kill('SIGKILL');
    },
  };
}

/** @throws Error that is no SystemError */
function start(program: string, receive: (part: Buffer) => void, fail: (reason: string) => void) {
  try {
    const child = startChild(program, [], { cwd: '/', env: {}, stdio: ['pipe', 'pipe', 'ignore'] });
    child.on('error', (error) => fail(errorMessage(error)));
    child.on('close', (code, signal) => fail(`ended (${signal ?? `exit code ${code}`})`));
    // The events `error` and `close` of the process report the reason.
    child.stdin.on('error', () => undefined);
    child.stdout.on('data', receive);
    return child;
  } catch (error) {
    throw new Error(errorMessage(error), { cause: error });
  }
}

/**
 * Parses the answers to a number of paths (packaging/programs/read-xattrs.c). `add` adds a part of the output, and
 * returns the answers when all are complete.
 * @throws Error for output of another form
 */
export function answerParser(count: number) {
  const answers: Answer[] = [];
  let rest = '';
  let current = new Map<string, string>();
  /** Consumes one attribute or one end of an answer. @returns whether it was complete */
  const step = (): boolean => {
    const end = rest.indexOf('\0');
    if (end === -1) return false;
    const kind = rest.charAt(0);
    if (kind === '.') {
      answers.push(answerOf(current, Number(rest.slice(1, end))));
      current = new Map();
      rest = rest.slice(end + 1);
      return true;
    }
    if (kind !== '=') throw new Error('its output is malformed');
    const sizeEnd = rest.indexOf('\0', end + 1);
    if (sizeEnd === -1) return false;
    const size = /^:(\d{1,5})$/.exec(rest.slice(end + 1, sizeEnd))?.[1];
    if (size === undefined) throw new Error('its output is malformed');
    const valueEnd = sizeEnd + 1 + Number(size);
    if (rest.length < valueEnd) return false;
    current.set(rest.slice(1, end), rest.slice(sizeEnd + 1, valueEnd));
    rest = rest.slice(valueEnd);
    return true;
  };
  return {
    add: (part: Buffer): Answer[] | undefined => {
      rest += part.toString('latin1');
      while (answers.length < count && step());
      if (answers.length < count) return undefined;
      if (rest !== '') throw new Error('its output is longer than expected');
      return answers;
    },
  };
}

function answerOf(found: Map<string, string>, errno: number): Answer {
  if (errno === 0) return found;
  return { error: getSystemErrorName(-errno) };
}
