/** Times as RFC 5424, section 6.2.3, has them: six digits of a second, UTC. */
export class Timestamps {
  #second = '';
  /** Up to the second; '' where there is no such date. */
  #date = '';

  /** @param microseconds since 1970, in decimal digits */
  format(microseconds: string): string {
    const second = microseconds.slice(0, -6);
    if (second !== this.#second) {
      this.#second = second;
      const date = new Date(Number(second) * 1000);
      const valid = !Number.isNaN(date.getTime()) && date.getUTCFullYear() <= 9999;
      this.#date = valid ? date.toISOString().slice(0, 20) : '';
    }
    // Of years before 0 there are more digits.
    return this.#date.endsWith('.') ? `${this.#date}${microseconds.slice(-6)}Z` : '-';
  }
}
