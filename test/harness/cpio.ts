/** Makes an archive in the format of cpio -H newc from files by name. */
export function makeCpio(files: Record<string, string>): Buffer {
  const entries = Object.entries(files).map(([name, text]) => entry(name, Buffer.from(text, 'latin1')));
  return Buffer.concat([...entries, entry('TRAILER!!!', Buffer.alloc(0))]);
}

/** Encodes a regular file with mode 0644 and one link. All other fields are 0 (cpio(5)). */
function entry(name: string, data: Buffer): Buffer {
  const fields = [0, 0o100644, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length + 1, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${name}\0`;
  return Buffer.concat([padded(Buffer.from(header, 'latin1')), padded(data)]);
}

function padded(data: Buffer): Buffer {
  return Buffer.concat([data, Buffer.alloc(-data.length & 3)]);
}
