import { SystemError } from '../../lib/errors.ts';

/** MAXSYMLINKS in the kernel (linux/namei.h). */
const mostLinks = 40;

/**
 * Resolves a path component by component, as the kernel does (path_resolution(7)).
 * @param file absolute path
 * @param readLink returns the content of a symbolic link; undefined if the file is not a symbolic link
 * @param enter called with each path before the path is accessed; an error that `enter` throws ends the resolution
 * @param last whether a symbolic link in the last component is followed
 * @returns the path without symbolic links
 * @throws SystemError ELOOP if the path has too many symbolic links
 */
export function followLinks(
  file: string,
  readLink: (file: string) => string | undefined,
  enter: (file: string) => void,
  last: 'follow the last' | 'keep the last',
): string {
  let remaining = components(file);
  let at = '';
  let links = 0;
  for (let name = remaining.shift(); name !== undefined; name = remaining.shift()) {
    if (name === '..') {
      at = at.slice(0, Math.max(0, at.lastIndexOf('/')));
      continue;
    }
    const next = `${at}/${name}`;
    enter(next);
    const isKept = remaining.length === 0 && last === 'keep the last';
    const target = isKept ? undefined : readLink(next);
    if (target === undefined) {
      at = next;
      continue;
    }
    links += 1;
    if (links > mostLinks) throw new SystemError(`${file}: too many levels of symbolic links`, 'ELOOP');
    remaining = [...components(target), ...remaining];
    if (target.startsWith('/')) at = '';
  }
  return at === '' ? '/' : at;
}

function components(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}
