/** A frame from a RELP server (librelp's doc/relp.html, "Syntax"): TXNR SP COMMAND SP DATALEN [SP DATA] LF. */
export interface RelpFrame {
  txnr: number;
  command: string;
  data: string;
}

/** Thrown if the bytes do not conform to the RELP protocol. */
export class RelpError extends Error {
  override name = 'RelpError';
}

/** The limits for a frame. RELP servers send short responses, so a longer frame does not come from a RELP server. */
const dataBytes = 65536;
const headerBytes = 64;

/** Splits the bytes from a server into frames. Accepts chunks of any size and uses bounded memory. */
export class RelpResponses {
  #held = '';

  /**
   * @param text one character per byte (latin1)
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

/** Reads the frame at an offset. @returns undefined if the frame is incomplete */
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
