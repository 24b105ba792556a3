import { ownCopy } from './memory.ts';

/** Of a remembered value, in bytes. */
const longest = 256;

/**
 * The parts of an RFC 5424 header, made of fields that anyone who may log can fill. What was made is remembered,
 * since few values make up nearly all entries.
 */
export class SyslogHeader {
  readonly #hostname: string;
  readonly #hosts = new Map<string, string>();
  readonly #names = new Map<string, string>();
  readonly #values = new Map<string, string>();
  #second = '';
  #date = '';

  /** @param hostname this host's own */
  constructor(hostname: string) {
    this.#hostname = hostname;
  }

  /**
   * @param microseconds since 1970, in decimal digits
   * @returns RFC 5424, section 6.2.3: six digits of a second, UTC
   */
  timestamp(microseconds: string): string {
    const second = microseconds.slice(0, -6);
    if (second !== this.#second) {
      this.#second = second;
      const date = new Date(Number(second) * 1000);
      this.#date =
        Number.isNaN(date.getTime()) || date.getUTCFullYear() > 9999 ? '' : date.toISOString().slice(0, 20);
    }
    return this.#date === '' || this.#date.length !== 20
      ? '-'
      : `${this.#date.slice(0, 19)}.${microseconds.slice(-6)}Z`;
  }

  /**
   * Until the initramfs is left, the host has no name of its own: the kernel's first lines, of all guests, would be
   * those of one "localhost".
   */
  host(value: string): string {
    const known = this.#hosts.get(value);
    if (known !== undefined) return known;
    const named = (own: string) => (/^(localhost(\..*)?|\(none\)|)$/.test(own) ? this.#hostname : own);
    return remember(this.#hosts, value, (own) => this.name(named(own), 255));
  }

  /** Section 6: printable US-ASCII without space, '-' for nothing. @param limit in characters */
  name(value: string, limit: number): string {
    const known = this.#names.get(value);
    if (known !== undefined) return known;
    return remember(this.#names, value, (own) => own.slice(0, limit).replace(/[^!-~]/g, '_') || '-');
  }

  /** Section 6.3.3: a parameter's value within its quotation marks. */
  value(value: string): string {
    const known = this.#values.get(value);
    if (known !== undefined) return known;
    return remember(this.#values, value, (own) => own.replace(/["\\\]]/g, '\\$&'));
  }
}

function remember(memory: Map<string, string>, value: string, make: (own: string) => string): string {
  // Long ones are rare, and would be too much.
  if (value.length > longest) return make(value);
  if (memory.size >= 1000) memory.clear();
  const own = ownCopy(value);
  const made = make(own);
  memory.set(own, made);
  return made;
}
