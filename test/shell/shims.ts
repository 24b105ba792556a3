import { shells } from './shells.ts';

/** Without busybox, which runs its own mount, not the one in PATH. */
export const shimmed = Object.entries(shells).filter(([name]) => !name.startsWith('busybox'));

/** A program of bash in /shims, which replaces one of the machine. */
export const shim = (lines: string) => `#!/bin/bash\nset -f\n${lines}\n`;

/** Lines of sh after which the programs in /shims are found first. */
export const useShims = 'chmod +x /shims/*; PATH=/shims:$PATH; export PATH\n';
