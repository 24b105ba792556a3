import { nameInStore } from '../../facts/boot/persist.ts';
import { pathOf } from '../../config/keys.ts';

/** Where the content of a directory of PERSIST is. */
export interface PlaceInStore {
  path: string;
  /** Its directory in the store. */
  final: string;
  /** The name of this directory while it is not complete or not used; units/persist-directory replaces it. */
  copy: string;
}

/** @param action `item`: the item of PERSIST; `store`: PERSIST_STORE */
export function placeInStore({ item, store }: { item: string; store: string }): PlaceInStore {
  const path = pathOf(item);
  const name = nameInStore(path);
  return { path, final: `${store}/${name}`, copy: `${store}/seeding:${name}` };
}
