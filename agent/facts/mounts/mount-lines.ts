/** The lines of mountinfo, for the agent (mountinfo.ts) and for the boot. */
import { cached } from '../../lib/cached.ts';

/** A line of /proc/self/mountinfo (proc_pid_mountinfo(5)) with its escapes decoded. */
export type Mount = NonNullable<ReturnType<typeof parseLine>>;

/**
 * Parses mountinfo.
 * @param text Latin-1, one character per byte
 * @param unescape decodes a field
 * @throws Error that names the malformed line; also for an empty text, because every process has a root mount
 */
export function parseMounts(text: string, unescape: (field: string) => string): Mount[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  if (lines.length === 0) throw new Error('mountinfo is empty');
  // Many mounts have the same options.
  const options = cached((list: string) => list.split(',').map(unescape));
  return lines.map((line, index) => {
    const mount = parseLine(line, options, unescape);
    if (mount === undefined) throw new Error(`mountinfo line ${index + 1} is malformed`);
    return mount;
  });
}

/**
 * A line of mountinfo. Optional fields (shared:N, master:N, …) are between the options and a single hyphen. Only a
 * space separates fields, because other characters that JavaScript treats as white space (a carriage return, some bytes
 * of UTF-8 characters) may be part of a name.
 */
const form =
  /^(\d{1,10}) (\d{1,10}) (\d{1,10}:\d{1,10}) ([^ ]+) (\/[^ ]*) ([^ ]+)(?: [^ -][^ ]*)* - ([^ ]+) ([^ ]*) ([^ ]+)$/s;

function parseLine(line: string, split: (list: string) => string[], unescape: (field: string) => string) {
  const found = form.exec(line);
  if (found === null) return undefined;
  const [, id = '', parent = '', device = '', root = '', target = '', options = ''] = found;
  const [type = '', source = '', superOptions = ''] = found.slice(7);
  return {
    id: Number(id),
    parent: Number(parent),
    /** "major:minor" of the device of the file system. */
    device,
    /** The directory of the file system that is mounted: "/" unless this is a bind mount or a subvolume. */
    root: unescape(root),
    target: unescape(target),
    /** The options of this mount: ro, nosuid, … */
    options: split(options),
    type: unescape(type),
    source: unescape(source),
    /** The options of the file system, which all its mounts share. */
    superOptions: split(superOptions),
  };
}
