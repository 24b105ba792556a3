import { array, nullish, object, optional, string } from 'valibot';
import { decodeBytes } from '../../lib/format.ts';
import { parseRecord } from '../../lib/json-record.ts';
import { namesIfThere } from '../../system/names.ts';
import type { SystemReader } from '../../system/reader.ts';
import { cloudInitUnits } from './provisioning-units.ts';
import { seedApplied, seedCopy, seedMostBytes, seedPlainFiles, seedReady, sumLine } from './seed-files.ts';

const keyDirectory = '/etc/ssh';

/** cloud-init writes it at the end of its last stage (all versions of RHEL 7 to 10). */
const resultFile = '/run/cloud-init/result.json';
const resultSchema = object({
  v1: object({ datasource: nullish(string()), errors: optional(array(string()), []) }),
});

/**
 * Reads the copy of the seed that the boot makes for cloud-init, and what cloud-init did.
 * @throws Error if a file cannot be read, or is not one of cloud-init
 */
export function readSeed(reader: SystemReader, isRoot: boolean) {
  // A symbolic link to a file in /var/lib/cloud/data.
  const text = reader.readIfPresent(resultFile, seedMostBytes);
  return {
    /** The SHA-256 of the copy as the boot records it; undefined if there is no copy. Only root can read the copy. */
    sha256: isRoot ? checksum(reader) : undefined,
    /**
     * The files in /etc that differ from those that the boot wrote from the seed in a guest without cloud-init; undefined
     * if it wrote none, or if this user may not read the list.
     */
    differing: isRoot ? findDiffering(reader) : undefined,
    /** Undefined if there is no copy, or if this user may not read it. */
    hostKeys: isRoot ? findHostKeys(reader) : undefined,
    /** Whether cloud-init may still write to /etc; undefined if this user may not know it. */
    isApplying: isRoot ? reader.stat(seedReady) !== undefined : undefined,
    /** Whether a unit of cloud-init is installed. */
    isInstalled: cloudInitUnits.some((unit) => reader.stat(`/usr/lib/systemd/system/${unit}`) !== undefined),
    /** Undefined until cloud-init has finished. */
    result: text === undefined ? undefined : parseResult(text),
  };
}

/** Returns the SHA-256 of what `sha256sum *` prints in the directories of the copy. */
function checksum(reader: SystemReader): string | undefined {
  const lines = [seedCopy, seedPlainFiles].flatMap((directory) =>
    namesIfThere(reader, directory).map((name) =>
      sumLine(sha256(reader.read(`${directory}/${name}`, seedMostBytes)), name),
    ),
  );
  return lines.length === 0 ? undefined : sha256(lines.join(''));
}

function findDiffering(reader: SystemReader): string[] | undefined {
  const applied = reader.readIfPresent(seedApplied, seedMostBytes);
  if (applied === undefined) return undefined;
  const lines = [...applied.matchAll(/^([0-9a-f]{64}) {2}(\/.+)$/gm)];
  return lines.flatMap(([, expected, file = '']) => {
    const text = reader.readIfPresent(file, seedMostBytes);
    return text !== undefined && sha256(text) === expected ? [] : [file];
  });
}

/**
 * Finds the private SSH host keys in /etc that the seed does not contain. cloud-init writes a key of user data as it is there:
 * each line of the key is in the text, whether as YAML or as JSON. The keys of user data that is compressed or encoded are not
 * found.
 */
function findHostKeys(reader: SystemReader) {
  const files = [seedCopy, seedPlainFiles].flatMap((directory) =>
    namesIfThere(reader, directory).map((name) => ({
      name,
      text: reader.read(`${directory}/${name}`, seedMostBytes),
    })),
  );
  if (files.length === 0) return undefined;
  const seeded = files.map(({ text }) => text).join('\n');
  const isSeeded = (name: string) => {
    const lines = reader.read(`${keyDirectory}/${name}`, seedMostBytes).split('\n');
    return lines.every((line) => seeded.includes(line.trim()));
  };
  const names = namesIfThere(reader, keyDirectory).filter((name) => isHostKey.test(name));
  return {
    /** Whether the seed has any key. */
    inSeed: files.some(({ name, text }) => isHostKey.test(name) || /^\s*["']?ssh_keys["']?\s*:/m.test(text)),
    foreign: names.filter((name) => !isSeeded(name)).map((name) => `${keyDirectory}/${name}`),
  };
}

const isHostKey = /^ssh_host_.*_key$/;

/**
 * Loads node:crypto only if there is a seed, because loading it takes a tenth of the processor time of `status`.
 * @param text one character per byte (latin1)
 */
function sha256(text: string): string {
  const { createHash } = process.getBuiltinModule('node:crypto');
  return createHash('sha256').update(text, 'latin1').digest('hex');
}

/** @throws Error if the text is not a result of cloud-init */
function parseResult(text: string) {
  const { datasource, errors } = parseRecord(resultSchema, decodeBytes(text), resultFile).v1;
  return {
    /** The data source, with where it found its data: "DataSourceNoCloud [seed=/var/lib/cloud/seed/nocloud]". */
    datasource: datasource ?? 'no data source',
    errors,
  };
}
