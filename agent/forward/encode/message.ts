/** What a transport sends and a server acknowledges. One character a byte. */
export interface Message {
  text: string;
  /** Of the entry that is delivered with this message; '' where none is. */
  cursor: string;
  /** The entry goes on with the next message. */
  goesOn?: true;
}

/** Turns entries into messages; appends them. */
export interface Encoder {
  entry(cursor: string, text: string, message: string | undefined, cut: number, out: Message[]): void;
  /** A line of the agent's own within the stream. */
  notice(text: string, out: Message[]): void;
}
