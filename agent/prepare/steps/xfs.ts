import { errorCode } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';

/**
 * Whether the directories of an XFS record the type of each file (mkfs.xfs(8), ftype), from its superblock
 * (fs/xfs/libxfs/xfs_format.h: sb_features2 in version 4, sb_features_incompat in version 5).
 * @returns undefined if the device does not exist or has no XFS
 */
export function hasFileTypes(reader: SystemReader, device: string): boolean | undefined {
  const block = Buffer.from(superblock(reader, device), 'latin1');
  if (block.length < 512 || block.toString('latin1', 0, 4) !== 'XFSB') return undefined;
  const version = block.readUInt16BE(100) & 0xf;
  return version >= 5 ? (block.readUInt32BE(216) & 1) !== 0 : (block.readUInt32BE(200) & 0x200) !== 0;
}

function superblock(reader: SystemReader, device: string): string {
  try {
    return reader.readAt(device, 0, 512);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return '';
    throw error;
  }
}
