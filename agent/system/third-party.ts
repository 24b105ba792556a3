import { getAsset, isSea } from 'node:sea';

/**
 * Returns the list of third-party software that the build put into the executable (packaging/sbom/third-party.ts), as
 * JSON. Returns undefined if the program runs from its source, which contains no other software.
 */
export function thirdPartyList(): string | undefined {
  return isSea() ? getAsset('third-party.json', 'utf8') : undefined;
}
