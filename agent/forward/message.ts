/** What a transport sends and a server acknowledges. One character a byte. */
export interface Message {
  text: string;
  /** Of the entry that is delivered with this message; '' where the entry goes on with the next one. */
  cursor: string;
}

/** Turns entries into messages; appends them. */
export interface Encoder {
  entry(cursor: string, text: string, message: string | undefined, cut: number, out: Message[]): void;
  /** A line of the agent's own within the stream, delivered together with the entry that follows. */
  notice(text: string, out: Message[]): void;
}
