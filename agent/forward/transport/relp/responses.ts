/** A frame from a RELP server (librelp's doc/relp.html, "Syntax"): TXNR SP COMMAND SP DATALEN [SP DATA] LF. */
export interface RelpFrame {
  txnr: number;
  command: string;
  data: string;
}

/** The bytes do not follow the RELP protocol. */
export class RelpError extends Error {
  override name = 'RelpError';
}

/** A RELP server's responses are short: a longer frame does not come from one. */
const dataBytes = 65536;
const headerBytes = 64;

/** Splits a server's bytes into frames, from chunks of any size, in bounded memory. */
export class RelpResponses {
  #held = '';

  /**
   * @param text one character a byte
   * @throws RelpError
   */
  push(text: string): RelpFrame[] {
    const bytes = this.#held + text;
    const frames: RelpFrame[] = [];
    let at = 0;
    for (;;) {
      const read = readFrame(bytes, at);
      if (read === undefined) break;
      frames.push(read.frame);
      at = read.end;
    }
    this.#held = bytes.slice(at);
    return frames;
  }

  /** Whether no incomplete frame is held. */
  get empty(): boolean {
    return this.#held === '';
  }
}

/** @returns undefined if the frame is not complete */
function readFrame(bytes: string, at: number): { frame: RelpFrame; end: number } | undefined {
  const head = bytes.slice(at, at + headerBytes);
  const [all, txnr, command = '', length] =
    /^([0-9]{1,9}) ([A-Za-z]{1,32}) ([0-9]{1,9})(?=[ \n])/.exec(head) ?? [];
  if (all === undefined) {
    const prefix = /^([0-9]{1,9}( ([A-Za-z]{1,32}( [0-9]{0,9})?)?)?)?$/;
    if (prefix.test(head)) return undefined;
    throw new RelpError(`not a RELP frame: ${JSON.stringify(head.slice(0, 40))}`);
  }
  const bytesOfData = Number(length);
  if (bytesOfData > dataBytes) throw new RelpError(`a RELP frame of ${bytesOfData} bytes`);
  // Some servers write the space even if the data is empty.
  const start = at + all.length + (bytes[at + all.length] === ' ' ? 1 : 0);
  const end = start + bytesOfData;
  if (bytes.length <= end) return undefined;
  if (bytes[end] !== '\n') throw new RelpError('no line feed at the end of a RELP frame');
  return { frame: { txnr: Number(txnr), command, data: bytes.slice(start, end) }, end: end + 1 };
}
