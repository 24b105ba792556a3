import type { Xattrs } from '../../system/layers/xattrs.ts';

const prefix = 'trusted.overlay.';

/** The metadata of overlayfs in the extended attributes of a file in an upper layer (overlayfs.rst). */
export type OverlayMetadata = ReturnType<typeof overlayMetadata>;

export function overlayMetadata(xattrs: Xattrs) {
  const origin = xattrs.get(`${prefix}origin`);
  return {
    /** Whether the directory hides the directory of the lower layer. */
    opaque: xattrs.get(`${prefix}opaque`) === 'y',
    /**
     * The path in the lower layer from which a directory was renamed: absolute in the layer, or a name in the same
     * directory.
     */
    redirect: xattrs.get(`${prefix}redirect`),
    /** Whether the file is a whiteout of the form that Linux 6.7 introduced, if it is empty. */
    whiteout: xattrs.has(`${prefix}whiteout`),
    /** Whether the content of the file is still that of the lower layer. */
    metacopy: xattrs.has(`${prefix}metacopy`),
    /** Whether the file was copied up. Kernels before 4.12 do not record this. */
    copied: origin !== undefined,
    /** The inode number of the file in the lower layer from which this file was copied up, if it is known. */
    origin: origin === undefined ? undefined : originInode(origin),
  };
}

/** Whether an attribute is metadata of this overlay. Attributes of an overlay in this overlay have the prefix twice. */
export function isOverlayXattr(name: string): boolean {
  return name.startsWith(prefix) && !name.startsWith(`${prefix}overlay.`);
}

/** The length of the header of `struct ovl_fb` (fs/overlayfs/overlayfs.h): 5 bytes and a UUID. */
const headerBytes = 21;

/**
 * Decodes the inode number in trusted.overlay.origin, which contains a file handle of the lower file system: a
 * `struct ovl_fb`, followed by the handle that the file system encoded (exportfs.h).
 * @param value one character per byte (latin1)
 * @returns undefined for a handle of another form
 */
export function originInode(value: string): bigint | undefined {
  const bytes = Buffer.from(value, 'latin1');
  const [version, magic, length, flags, type] = bytes;
  const handle = bytes.subarray(headerBytes);
  const isKnown = version === 0 && magic === 0xfb && length === bytes.length;
  // Bit 0: big-endian; bit 1: any byte order.
  if (!isKnown || flags === undefined || (flags & 0b11) === 0b01) return undefined;
  // FILEID_INO32_GEN: ext4, and XFS with an inode number of 32 bits. tmpfs uses the same number for another form.
  if (type === 1 && handle.length === 8) return BigInt(handle.readUInt32LE(0));
  if (type === 1 && handle.length === 12)
    return BigInt(handle.readUInt32LE(4)) | (BigInt(handle.readUInt32LE(8)) << 32n);
  // XFS_FILEID_TYPE_64FLAG, and FILEID_BTRFS_WITHOUT_PARENT.
  if ((type === 0x81 || type === 0x4d) && handle.length >= 12) return handle.readBigUInt64LE(0);
  return undefined;
}
