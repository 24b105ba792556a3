import type { Command } from 'commander';
import { getAsset, isSea } from 'node:sea';
import { version } from '../lib/version.ts';
import type { Context } from './command.ts';
import type { Output } from './output.ts';

/** The fields that are printed, in this order: the list has others, which only the SBOM needs. */
const fields = ['name', 'version', 'licence', 'purl', 'cpe', 'within', 'bundled'];

/** Defines the command `version`. */
export function addVersion(root: Command, { output, exit }: Context): void {
  root
    .command('version')
    .description('print the version')
    .option('--json', 'print one JSON object, which also lists the software that the package contains')
    .allowExcessArguments(false)
    .action((options: { json?: boolean }) => exit(versionCommand(output, options)));
}

/**
 * Prints the version of the agent, or with `json` also the software that the package contains (version.schema.json).
 * @param list the software as the build lists it
 * @returns the exit code
 * @throws SyntaxError if the list is not JSON
 */
export function versionCommand(
  output: Output,
  { json = false }: { json?: boolean },
  list = thirdPartyList(),
): number {
  if (!json) {
    output.stdout(`${version}\n`);
    return 0;
  }
  const bundled: unknown = list === undefined ? [] : JSON.parse(list);
  output.stdout(`${JSON.stringify({ version, bundled }, fields, 2)}\n`);
  return 0;
}

/**
 * Returns the list of third-party software that the build put into the executable (packaging/sbom/third-party.ts), as
 * JSON. Returns undefined if the program runs from its source, which contains no other software.
 */
function thirdPartyList(): string | undefined {
  return isSea() ? getAsset('third-party.json', 'utf8') : undefined;
}
