const headerSize = 110;
const magics = ['070701', '070702'];

/**
 * Returns the sizes of the files in an uncompressed initramfs, by path. The size is 0 for folders and devices, and the
 * length of the target for links. An initramfs consists of one or more archives, with zeros between them
 * (Documentation/driver-api/early-userspace/buffer-format.rst).
 *
 * @throws if the image is compressed or is not an initramfs
 */
export function cpioSizes(image: Buffer): Map<string, number> {
  const sizes = new Map<string, number>();
  let position = 0;
  while (position < image.length) {
    if (image[position] === 0) {
      position++;
      continue;
    }
    if (!magics.includes(image.toString('latin1', position, position + 6))) {
      throw new Error(`no cpio header at ${position}`);
    }
    const [size, nameSize] = [field(image, position, 6), field(image, position, 11)];
    const nameAt = position + headerSize;
    const name = image.toString('utf8', nameAt, nameAt + nameSize - 1);
    if (name !== 'TRAILER!!!') sizes.set(name, size);
    position = aligned(aligned(nameAt + nameSize) + size);
  }
  return sizes;
}

/** Returns a field of a header. After the magic, each field consists of eight hexadecimal digits. */
function field(image: Buffer, header: number, index: number): number {
  const at = header + 6 + index * 8;
  return Number.parseInt(image.toString('latin1', at, at + 8), 16);
}

function aligned(position: number): number {
  return (position + 3) & ~3;
}
