/** Loaded before a test, and inherited by the programs of Node that it starts: gives a module another text, and leaves its file. */
import fs from 'node:fs';
import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';

const { MUTANT_FILE = '', MUTANT_TEXT = '' } = process.env;
const url = pathToFileURL(MUTANT_FILE).href;
registerHooks({
  load: (wanted, context, next) =>
    wanted === url
      ? { format: 'module-typescript', source: fs.readFileSync(MUTANT_TEXT, 'utf8'), shortCircuit: true }
      : next(wanted, context),
});
