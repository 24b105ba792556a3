/**
 * Prints the foreign programs as JSON. Every file system on a disk counts as sealed.
 * Usage: search-programs.ts FOREIGN_PROGRAMS_ALLOW
 */
import { words } from '../../agent/config/config.ts';
import { readMountTable } from '../../agent/facts/mounts/mountinfo.ts';
import { findForeignPrograms } from '../../agent/facts/security/programs/foreign-programs.ts';
import { systemReader } from '../../agent/system/reader.ts';

const reader = systemReader();
const mounts = readMountTable(reader);
const sealed = new Set(mounts.all.map(({ device }) => device).filter((device) => !device.startsWith('0:')));
const allowed = words(process.argv[2] ?? '');
process.stdout.write(JSON.stringify(await findForeignPrograms(reader, mounts, { sealed, allowed })));
