import { rhelTree } from '../../el/tree.ts';
import { isRhel, type Release, usualRelease } from './release.ts';
import { debianTree } from './tree.ts';

/** Returns a tree of a release without the agent; see `debianTree`. */
export async function ordinaryTree(release: Release = usualRelease): Promise<string> {
  return isRhel(release) ? rhelTree(release) : debianTree(release);
}
