import type { Command } from 'commander';
import type { IdentityOptions } from './identity.ts';
import type { Context } from './command.ts';

/** Defines the command `identity`. */
export function addIdentity(root: Command, { reader, loadWriter, output, exit }: Context): void {
  root
    .command('identity')
    .description(
      'request a certificate from the host with IDENTITY=host, and write it to /run/immutafs/identity (immutafs-identity.service runs this)',
    )
    .option(
      '--nonce <nonce>',
      'print a statement of the host about this guest for the nonce of a verifier, 8 to 64 bytes in base64url, and write nothing',
    )
    .allowExcessArguments(false)
    .action(async (options: IdentityOptions) => {
      const { identityCommand } = await import('./identity.ts');
      exit(await identityCommand(reader, loadWriter, output, options));
    });
}
