/** The entry point of immutafs-boot. native.c runs the bundle, and defines `native`. */
import { run } from './commands.ts';
import type { Native } from './native/native.ts';

declare const native: Native;

native.exit(run(native));
