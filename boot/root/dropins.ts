import { SystemError, onFile, unlessSystemError } from '../../agent/lib/errors.ts';
import { namesIfThere } from '../../agent/system/names.ts';
import type { Context } from '../guest/command.ts';
import { makeDirectories, openDirectory, reopen, using } from '../native/directories.ts';
import { runProgram } from '../native/programs.ts';

const source = '/usr/lib/immutafs-agent/dropins';
const target = '/usr/lib/systemd/system';
const mostBytes = 64 * 1024;

/**
 * Selects the drop-ins of our units by the version of systemd, because an older version logs a warning for each directive that it
 * does not know. A file NAME-since-N.conf is for version N and later, a file NAME-before-N.conf for earlier versions. The selected
 * files are copied to the directory of the units, where the package owns them (%ghost), so that they are erased with it; the other
 * files are removed from there.
 * @param isReload whether systemd reads its units again if it runs and a file has changed
 * @returns whether everything was done
 */
export function selectDropins(context: Context, isReload: boolean): boolean {
  const { native, reader } = context;
  const answer = runProgram(native, 60, 'systemctl', '--version');
  // There is no systemd.
  if (answer.code === 127) return true;
  const version = answer.code === 0 ? /^systemd (\d{1,6})/.exec(answer.output)?.[1] : undefined;
  const failures: string[] = [];
  if (version === undefined)
    failures.push(
      'systemctl --version does not print a version: the units are not hardened further. Run `immutafs-boot select-dropins reload` when it does.',
    );
  let changes = 0;
  for (const folder of namesIfThere(reader, source).filter((name) => name.endsWith('.service.d')))
    for (const name of namesIfThere(reader, `${source}/${folder}`).filter((each) => each.endsWith('.conf'))) {
      try {
        const isSelected = version !== undefined && isFor(name, Number(version));
        if ((isSelected ? copy : remove)(context, folder, name)) changes++;
      } catch (error) {
        if (!(error instanceof SystemError)) throw error;
        changes++;
        failures.push(error.message);
      }
    }
  if (changes + failures.length > 0 && isReload && reader.stat('/run/systemd/system') !== undefined) {
    const { code, output } = runProgram(native, 60, 'systemctl', 'daemon-reload');
    if (code !== 0) failures.push(`systemctl daemon-reload failed: ${output}`);
  }
  for (const failure of failures) native.print(2, `select-dropins: ${failure}\n`);
  return failures.length === 0;
}

/** Without a version, no drop-in is selected, and the units have the directives that each version knows. */
function isFor(name: string, version: number): boolean {
  const [, kind, limit = ''] = /-(since|before)-(\d{1,6})\.conf$/.exec(name) ?? [];
  if (kind === undefined) return false;
  return kind === 'since' ? version >= Number(limit) : version < Number(limit);
}

/** Copies a drop-in, unless it is there. @returns whether it was not */
function copy({ native, reader }: Context, folder: string, name: string): boolean {
  const [from, to] = [`${source}/${folder}`, `${target}/${folder}`];
  const text = onFile(`${from}/${name}`, () => native.read(`${from}/${name}`, mostBytes));
  if (unlessSystemError(() => reader.readIfPresent(`${to}/${name}`)) === text) return false;
  onFile(to, () => makeDirectories(native, to));
  using(native, reopen(native, to), (directory) => {
    // systemd does not read a file that does not end in .conf.
    const unfinished = `${name}.new`;
    try {
      onFile(`${to}/${name}`, () => {
        using(native, reopen(native, from), (origin) =>
          native.copyFile(origin, name, directory, unfinished, 0o644, mostBytes),
        );
        native.rename(directory, unfinished, name);
      });
    } catch (error) {
      native.removeAt(directory, unfinished);
      throw error;
    }
  });
  return true;
}

/** Removes a drop-in. @returns whether it was there */
function remove({ native, reader }: Context, folder: string, name: string): boolean {
  const file = `${target}/${folder}/${name}`;
  if (reader.stat(file) === undefined) return false;
  const directory = openDirectory(native, `${target}/${folder}`);
  if (directory === undefined) return false;
  using(native, directory, () => onFile(file, () => native.removeAt(directory, name)));
  return true;
}
