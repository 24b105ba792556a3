import { decodeBytes, parseJson } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Forecast, Growth } from './growth.ts';
import type { Observation } from './observations.ts';
import type { RehearsalReport, Request } from './record.ts';

const longest = 4 * 1024 * 1024;

/** Reads the request; undefined if there is none. @throws Error for a malformed file; HostError */
export function readRequest(reader: SystemReader, file: string): Request | undefined {
  const text = reader.readRecord(file, 'root', longest);
  return text === undefined ? undefined : parseRequest(new Fields(parseJson(decodeBytes(text), file), file));
}

/** Reads a report; undefined if there is none. @throws Error for a malformed file; HostError */
export function readReport(reader: SystemReader, file: string): RehearsalReport | undefined {
  const text = reader.readRecord(file, 'root', longest);
  return text === undefined ? undefined : parseReport(new Fields(parseJson(decodeBytes(text), file), file));
}

function parseRequest(fields: Fields): Request {
  const baseline = fields.object('baseline');
  return {
    schema: fields.one('schema', [1]),
    id: fields.text('id'),
    requestedAt: fields.time('requestedAt'),
    bootId: fields.text('bootId'),
    limitSeconds: fields.number('limitSeconds'),
    baseline: {
      failed: baseline.texts('failed'),
      skipped: baseline.texts('skipped'),
      refused: baseline.texts('refused'),
    },
  };
}

function parseReport(fields: Fields): RehearsalReport {
  const [add, sources] = [fields.object('add'), fields.object('sources')];
  return {
    schema: fields.one('schema', [1]),
    id: fields.text('id'),
    bootId: fields.text('bootId'),
    began: fields.time('began'),
    savedAt: fields.time('savedAt'),
    limitSeconds: fields.number('limitSeconds'),
    uptimeSeconds: fields.number('uptimeSeconds'),
    endedBy: fields.one('endedBy', ['limit', 'command', 'shutdown', null]),
    settledSeconds: fields.isNull('settledSeconds') ? null : fields.number('settledSeconds'),
    ready: fields.one('ready', [true, false]),
    why: fields.texts('why'),
    observations: fields.objects('observations').map(parseObservation),
    omitted: fields.number('omitted'),
    growth: fields.isNull('growth') ? null : parseGrowth(fields.object('growth')),
    add: { overlay: add.text('overlay'), persistInstead: add.text('persistInstead') },
    sources: { journal: sources.text('journal'), audit: sources.text('audit') },
  };
}

function parseObservation(fields: Fields): Observation {
  return {
    kind: fields.one('kind', ['failed', 'refused', 'full', 'check', 'denied', 'skipped']),
    blocking: fields.one('blocking', [true, false]),
    subject: fields.text('subject'),
    paths: fields.texts('paths'),
    count: fields.number('count'),
    messages: fields.texts('messages'),
    remedy: fields.text('remedy'),
    folder: fields.isNull('folder') ? null : fields.text('folder'),
  };
}

function parseGrowth(fields: Fields): Growth {
  return {
    seconds: fields.number('seconds'),
    usedBytes: fields.number('usedBytes'),
    sizeBytes: fields.number('sizeBytes'),
    bytes: fields.number('bytes'),
    inodes: fields.number('inodes'),
    largest: fields.objects('largest').map((each) => ({
      path: each.text('path'),
      bytes: each.number('bytes'),
      inodes: each.number('inodes'),
    })),
    forecast: parseForecast(fields.object('forecast')),
  };
}

function parseForecast(fields: Fields): Forecast {
  const full = fields.one('full', ['in', 'not within', 'unknown'] as const);
  return full === 'unknown' ? { full } : { full, seconds: fields.number('seconds') };
}

/** The fields of a JSON object. Each method throws an error that names the file and the missing or invalid field. */
class Fields {
  readonly #object: Record<string, unknown>;
  readonly #file: string;

  constructor(value: unknown, file: string) {
    if (typeof value !== 'object' || value === null) throw new Error(`${file}: an object is missing`);
    this.#object = value as Record<string, unknown>;
    this.#file = file;
  }

  text(name: string): string {
    const value = this.#value(name);
    return typeof value === 'string' ? value : this.#fail(name);
  }

  number(name: string): number {
    const value = this.#value(name);
    return typeof value === 'number' && Number.isFinite(value) ? value : this.#fail(name);
  }

  /** ISO 8601 */
  time(name: string): string {
    const value = this.text(name);
    return Number.isNaN(Date.parse(value)) ? this.#fail(name) : value;
  }

  one<T>(name: string, allowed: readonly T[]): T {
    const value = this.#value(name);
    return allowed.includes(value as T) ? (value as T) : this.#fail(name);
  }

  isNull(name: string): boolean {
    return this.#value(name) === null;
  }

  texts(name: string): string[] {
    return this.#list(name).map((each) => (typeof each === 'string' ? each : this.#fail(name)));
  }

  object(name: string): Fields {
    return new Fields(this.#value(name), this.#file);
  }

  objects(name: string): Fields[] {
    return this.#list(name).map((each) => new Fields(each, this.#file));
  }

  #list(name: string): unknown[] {
    const value = this.#value(name);
    return Array.isArray(value) ? value : this.#fail(name);
  }

  #value(name: string): unknown {
    return Object.hasOwn(this.#object, name) ? this.#object[name] : this.#fail(name);
  }

  #fail(name: string): never {
    throw new Error(`${this.#file}: ${name} is missing or invalid`);
  }
}
