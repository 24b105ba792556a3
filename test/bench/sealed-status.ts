/**
 * Runs `status` as in a guest whose host made every virtio disk read-only, so that the programs of all processes are
 * examined. Usage: sealed-status FOREIGN_PROGRAMS [FOREIGN_PROGRAMS_ALLOW]
 */
import { statusCommand } from '../../agent/commands/status.ts';
import { configFile } from '../../agent/config/config.ts';
import { type SystemReader, systemReader } from '../../agent/system/reader.ts';

/** As in agent/main.ts, so that the code cache contains the same functions as that of the delivered agent. */
declare const warmUpRoot: string | undefined;

const reader = systemReader({ root: typeof warmUpRoot === 'undefined' ? '/' : warmUpRoot });
const [programs = 'warn', allowed = ''] = process.argv.slice(2);
const setting = `FOREIGN_PROGRAMS=${programs}\nFOREIGN_PROGRAMS_ALLOW=${allowed}\n`;
const sealed: SystemReader = {
  ...reader,
  read: (file, limit) => {
    const text = reader.read(file, limit);
    return file.endsWith('/device/features') ? `${text.slice(0, 5)}1${text.slice(6)}` : text;
  },
  readIfPresent: (file, limit) => (file === configFile ? setting : reader.readIfPresent(file, limit)),
};
const output = { stdout: () => undefined, stderr: () => undefined, terminal: false };

void statusCommand(sealed, output, { color: 'never' }).then((code) => process.exit(code === 2 ? 2 : 0));
