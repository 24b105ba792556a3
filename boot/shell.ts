/** Quotes a text for sh. A line feed becomes the variable newline, so that the word is on one line. */
export function shellWord(text: string): string {
  return `'${text.replaceAll("'", `'\\''`).replaceAll('\n', `'"$newline"'`)}'`;
}

/** Returns a line for each variable, "NAME='VALUE'". @param between another separator than the line feed */
export function assignments(values: Readonly<Record<string, string>>, between = '\n'): string {
  const words = Object.entries(values).map(([name, value]) => `${name}=${shellWord(value)}`);
  return `${words.join(between)}\n`;
}
