import { shells } from './shells.ts';

/** The shells without busybox, which runs its built-in mount, not the program in PATH. */
export const shimmed = Object.entries(shells).filter(([name]) => !name.startsWith('busybox'));

/** Returns a bash program for /shims, which replaces a program of the machine. */
export const shim = (lines: string) => `#!/bin/bash\nset -f\n${lines}\n`;

/** Lines of sh that put the programs in /shims first in PATH. */
export const useShims = 'chmod +x /shims/*; PATH=/shims:$PATH; export PATH\n';
