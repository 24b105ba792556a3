import { HostError } from '../../lib/errors.ts';

/** As the kernel: MAXSYMLINKS (linux/namei.h). */
const mostLinks = 40;

/**
 * Walks a path as the kernel does (path_resolution(7)), one component after the other.
 * @param file absolute
 * @param readLink what a symbolic link has in it; undefined for anything else, or where nothing is there
 * @param enter is called with each path on the way before anything there is looked at; what it throws ends the walk
 * @param last whether a symbolic link in the last component is followed
 * @returns the path without symbolic links
 * @throws HostError ELOOP
 */
export function followLinks(
  file: string,
  readLink: (file: string) => string | undefined,
  enter: (file: string) => void,
  last: 'follow the last' | 'keep the last',
): string {
  let left = components(file);
  let at = '';
  let links = 0;
  for (let name = left.shift(); name !== undefined; name = left.shift()) {
    if (name === '..') {
      at = at.slice(0, Math.max(0, at.lastIndexOf('/')));
      continue;
    }
    const next = `${at}/${name}`;
    enter(next);
    const isKept = left.length === 0 && last === 'keep the last';
    const target = isKept ? undefined : readLink(next);
    if (target === undefined) {
      at = next;
      continue;
    }
    links += 1;
    if (links > mostLinks) throw new HostError(`${file}: too many levels of symbolic links`, 'ELOOP');
    left = [...components(target), ...left];
    if (target.startsWith('/')) at = '';
  }
  return at === '' ? '/' : at;
}

function components(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}
