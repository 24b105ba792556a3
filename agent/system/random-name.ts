/**
 * A word for a new file's name in a folder of another user. V8 takes its seed from the kernel at each start; a name that
 * was guessed would only make the open fail (O_EXCL).
 */
export function randomWord(): string {
  return Math.random().toString(36).slice(2).padEnd(10, '0');
}
