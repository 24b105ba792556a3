/** Encodes a node HD() of a device path (UEFI 2.10, 10.3.5.1). */
export function hardDrive(
  partition: { gpt: string; number?: number } | { mbr: number; number: number },
): Buffer {
  const node = Buffer.alloc(42);
  node.set([4, 1, 42, 0], 0);
  if ('gpt' in partition) {
    node.writeUInt32LE(partition.number ?? 1, 4);
    node.set([2, 2], 40);
    const [a = '', b = '', c = '', d = '', e = ''] = partition.gpt.split('-');
    const reversed = [a, b, c].map((part) => Buffer.from(part, 'hex').reverse());
    Buffer.concat([...reversed, Buffer.from(d + e, 'hex')]).copy(node, 24);
  } else {
    node.writeUInt32LE(partition.number, 4);
    node.writeUInt32LE(partition.mbr, 24);
    node.set([1, 1], 40);
  }
  return node;
}

/** Encodes a node with the path of a file, which has backslashes (UEFI 2.10, 10.3.5.4). */
export function filePath(path: string): Buffer {
  const name = Buffer.from(`${path}\0`, 'utf16le');
  const head = Buffer.from([4, 4, 0, 0]);
  head.writeUInt16LE(head.length + name.length, 2);
  return Buffer.concat([head, name]);
}

/** Encodes a boot entry as in a variable Boot####, without the attributes of the variable. */
export function loadOption(
  description: string,
  nodes: readonly Buffer[],
  { active = true }: { active?: boolean } = {},
): Buffer {
  const path = Buffer.concat([...nodes, Buffer.from([0x7f, 0xff, 4, 0])]);
  const head = Buffer.alloc(6);
  head.writeUInt32LE(active ? 1 : 0, 0);
  head.writeUInt16LE(path.length, 4);
  return Buffer.concat([head, Buffer.from(`${description}\0`, 'utf16le'), path]);
}

/** Returns the content of a file of efivarfs, one character per byte. */
export function variable(data: Buffer): string {
  return `\x07\0\0\0${data.toString('latin1')}`;
}

export function bootOrder(...numbers: number[]): Buffer {
  const data = Buffer.alloc(numbers.length * 2);
  for (const [index, number] of numbers.entries()) data.writeUInt16LE(number, index * 2);
  return data;
}
