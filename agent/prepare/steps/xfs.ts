import { errorCode } from '../../errors.ts';
import type { Host } from '../../host.ts';

/**
 * Whether the folders of an XFS say of what kind each file is (mkfs.xfs(8), ftype), by its superblock
 * (fs/xfs/libxfs/xfs_format.h: sb_features2 in version 4, sb_features_incompat in version 5).
 * @returns undefined where that is no XFS, or the device cannot be found
 */
export function hasFileTypes(host: Host, device: string): boolean | undefined {
  const block = Buffer.from(beginning(host, device), 'latin1');
  if (block.length < 512 || block.toString('latin1', 0, 4) !== 'XFSB') return undefined;
  const version = block.readUInt16BE(100) & 0xf;
  return version >= 5 ? (block.readUInt32BE(216) & 1) !== 0 : (block.readUInt32BE(200) & 0x200) !== 0;
}

function beginning(host: Host, device: string): string {
  try {
    return host.readAt(device, 0, 512);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return '';
    throw error;
  }
}
