import fs from 'node:fs';
import path from 'node:path';
import type { Output } from '../../agent/commands/output.ts';
import { type PrepareOptions, prepareCommand, readyCommand } from '../../agent/commands/prepare.ts';
import { type SystemWriter, systemWriter } from '../../agent/system/writer.ts';
import { type LoggedAction, readActionLog } from '../../agent/prepare/engine/action-log.ts';
import { type Guest, withGuest } from './guest.ts';
import { goodImage } from './ordinary-guest.ts';

export const edited = ['etc/fstab', 'etc/mtab', 'etc/resolv.conf'];

export interface Said {
  code: number;
  stdout: string;
}

/** Returns stubs for the programs that cannot run on a folder of fixtures. */
function fakePrograms(root: string): SystemWriter['run'] {
  return (program, args) => {
    const write = (file: string, text: string) => {
      fs.mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
      fs.writeFileSync(path.join(root, file), text, 'latin1');
    };
    if (program === '/usr/bin/dracut') write(args.at(-2) ?? '', goodImage());
    else if (program === '/sbin/vgcfgbackup') write(`/etc/lvm/backup/${args[0]}`, '');
    else if (!args.some((word) => word.includes('fsfreeze')))
      return Promise.resolve({ exit: 1, stdout: '', stderr: 'no such program', late: false });
    return Promise.resolve({ exit: 0, stdout: '', stderr: '', late: false });
  };
}

export interface Box {
  root: string;
  /** Returns the path of a file of the guest, or its content, one character per byte. */
  at: (file: string) => string;
  read: (file: string) => string;
  writer: SystemWriter;
  prepare: (options?: Partial<PrepareOptions>, writer?: SystemWriter) => Promise<Said>;
  actionLog: () => LoggedAction[];
  /** Runs `check --ready-to-seal --image`. */
  readyImage: () => Promise<Said>;
}

export function withBox(guest: Guest, work: (box: Box) => Promise<void>): Promise<void> {
  return withGuest(guest, (reader, root) => {
    const writer = { ...systemWriter(root), run: fakePrograms(root) };
    for (const file of edited) {
      // Set a time in the past, so that a test can check whether the time is restored.
      if (guest.files[file] !== undefined) fs.lutimesSync(path.join(root, file), 1e9, 1e9);
    }
    const at = (file: string) => path.join(root, file);
    const saidBy = async (command: (output: Output) => Promise<number>): Promise<Said> => {
      let stdout = '';
      const output = {
        stdout: (text: string) => void (stdout += text),
        stderr: () => undefined,
        terminal: false,
      };
      return { code: await command(output), stdout };
    };
    return work({
      ...{ root, at, read: (file) => fs.readFileSync(at(file), 'latin1') },
      writer,
      actionLog: () => readActionLog(reader),
      prepare: (options = {}, own = writer) =>
        saidBy((output) =>
          prepareCommand(
            reader,
            () => Promise.resolve(own),
            output,
            { skip: ['home'], ...options },
            () => undefined,
          ),
        ),
      readyImage: () => saidBy((output) => readyCommand(reader, output, true)),
    });
  });
}

/** Returns every file and link of a guest, except those of the kernel and those of `prepare` itself. */
export function tree(root: string, folder = ''): Record<string, string> {
  const entries = fs.readdirSync(path.join(root, folder), { withFileTypes: true });
  const found = entries.map((entry): Record<string, string> => {
    const name = path.join(folder, entry.name);
    const file = path.join(root, name);
    if (['sys', 'proc', 'var/lib/immutafs', 'run/immutafs'].includes(name)) return {};
    if (entry.isDirectory()) return tree(root, name);
    if (entry.isSymbolicLink()) return { [name]: `-> ${fs.readlinkSync(file)}` };
    const { mode, mtimeMs } = fs.lstatSync(file);
    return { [name]: `${mode} ${mtimeMs} ${fs.readFileSync(file, 'latin1')}` };
  });
  return Object.assign({}, ...found) as Record<string, string>;
}
