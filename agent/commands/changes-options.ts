import { type Command, Option } from 'commander';
import type { ChangesOptions } from './changes.ts';
import type { Context } from './command.ts';

/** Defines the command `changes`. */
export function addChanges(root: Command, { reader, loadWriter, output, exit }: Context): void {
  const views = ['json', 'diff', 'all', 'ignore', 'export'];
  const ofChanges = views.filter((each) => each !== 'json');
  const others = (own: string) => views.filter((each) => each !== own);
  root
    .command('changes [path...]')
    .description(
      'show what differs between the writable layers in memory and the sealed disk, or only at and below paths',
    )
    .addOption(
      new Option('--all', 'list every change, without grouping them by directory').conflicts(others('all')),
    )
    .addOption(
      new Option('--json', 'print one JSON object on a line for each change').conflicts(others('json')),
    )
    .option('--sha256', 'add the SHA-256 of the content to --json')
    .addOption(
      new Option('--diff', 'print the content of changed text files as a unified diff').conflicts(
        others('diff'),
      ),
    )
    .addOption(
      new Option(
        '--ignore <glob>',
        'only count changes at paths that match, instead of logs, caches and service state; an empty text ignores nothing; can be given several times',
      )
        .argParser((glob: string, before: string[] | undefined) => [...(before ?? []), glob])
        .conflicts(others('ignore')),
    )
    .addOption(
      new Option(
        '--since-report',
        'show only what is new since the last changes --since-report of this boot',
      ).conflicts('export'),
    )
    .addOption(
      new Option(
        '--export <file>',
        'write the changed files, a manifest with checksums, the mounts, the processes, the journal of this boot and the last report to a tar file; - is the standard output',
      ).conflicts(others('export')),
    )
    .addOption(
      new Option(
        '--state',
        'show the data, queues and registrations that the next reboot loses and that are neither kept nor accepted, the largest first',
      ).conflicts([...ofChanges, 'sha256', 'sinceReport', 'maxSize']),
    )
    .option(
      '--max-size <size>',
      'the size that the tar file may have: a number with K, M, G or T; default: 1G',
    )
    .action(async (paths: string[], options: ChangesOptions) => {
      const { changesCommand } = await import('./changes.ts');
      exit(await changesCommand(reader, loadWriter, output, paths, options));
    });
}
