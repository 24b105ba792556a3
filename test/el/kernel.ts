import { existsSync } from 'node:fs';
import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { cached } from '../vm/harness/cache.ts';
import { build, keepMinutes } from './build-root.ts';
import { type RhelRelease } from './releases.ts';
import { commitOf, exportSource, rhel, subjectOf } from './sources.ts';

/** Parts of the source of which nothing is built, and which are large. */
const unneeded =
  /^(almalinux\/(?!kernel-x86_64\.config$)|Documentation\/(?!Kconfig$)|drivers\/gpu\/drm\/amd\/include\/|tools\/testing\/)/;

/** The modules of RHEL's configuration that the guests use. */
const modules = new RegExp(
  `^(${words(String.raw`
  VIRTIO_(BLK|NET|CONSOLE|BALLOON|FS|PMEM) SCSI_VIRTIO HW_RANDOM(_VIRTIO)? I6300ESB_WDT FW_CFG_SYSFS
  BLK_DEV_(SD|SR|DM|MD|LOOP|RAM|NBD) CHR_DEV_SG SCSI_DEBUG ATA ATA_PIIX SATA_AHCI VSOCKETS
  VIRTIO_VSOCKETS\w* XFS_FS EXT4_FS JBD2 FS_MBCACHE FAT_FS VFAT_FS NLS_(ASCII|ISO8859_1|UTF8|CODEPAGE_437)
  ISO9660_FS OVERLAY_FS SQUASHFS FUSE_FS AUTOFS\w*_FS EFIVAR_FS
  DM_(CRYPT|SNAPSHOT|THIN_PROVISIONING|MIRROR|RAID|MULTIPATH|VERITY|ZERO|DELAY|FLAKEY)
  DM_(BUFIO|BIO_PRISON|PERSISTENT_DATA|LOG_WRITES) MD_(LINEAR|RAID\w+) ASYNC_\w+ RAID6_PQ XOR_BLOCKS
  CRC\w+ LIBCRC32C
  CRYPTO_(AES_NI_INTEL|XTS|CRC32C_INTEL|CRC32C?|SHA256|SHA512|ESSIV|CBC|ECB|USER_API\w*|XXHASH|LZO|ZSTD)
  FAILOVER NET_FAILOVER PACKET PACKET_DIAG UNIX_DIAG INET\w*_DIAG NETLINK_DIAG TUN VETH DUMMY
  NF_(CONNTRACK|TABLES|NAT|REJECT\w*) NFT_\w+ NF_DEFRAG_\w+ NF_TABLES_\w+
`).join('|')})$`,
);

/** Built-in parts of RHEL's configuration for other hardware, for debugging the kernel, or for its signature. */
const disabled = words(`
  DEBUG_INFO DEBUG_INFO_BTF DEBUG_INFO_DWARF4 DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT FTRACE FUNCTION_TRACER IKHEADERS WERROR
  MODULE_SIG INTEGRITY_PLATFORM_KEYRING IMA_APPRAISE_MODSIG MODULE_COMPRESS MODULE_COMPRESS_XZ LIVEPATCH RUNTIME_TESTING_MENU KUNIT
  GCOV_KERNEL DRM FB SOUND USB_SUPPORT HID HID_SUPPORT MEDIA_SUPPORT STAGING BT CAN NFC WLAN WIRELESS
  ETHERNET INFINIBAND ISDN FDDI FUSION HAMRADIO WIMAX XEN HYPERV KVM VIRTUALIZATION THUNDERBOLT USB4
  CHROME_PLATFORMS SURFACE_PLATFORMS X86_PLATFORM_DEVICES INTEL_IOMMU AMD_IOMMU EDAC HWMON SPI PINCTRL
  POWER_SUPPLY
`);

/** QEMU starts a kernel that supports PVH from its ELF file, without decompressing it in the guest. RHEL 8's kernel does not support PVH. */
const added = `CONFIG_PVH=y
CONFIG_DEBUG_INFO_NONE=y
CONFIG_MODULE_COMPRESS_NONE=y
CONFIG_SYSTEM_TRUSTED_KEYS=""
CONFIG_SYSTEM_REVOCATION_KEYS=""
`;

/**
 * Builds RHEL's kernel with RHEL's configuration, without the modules that a guest does not need.
 *
 * @returns a folder with `boot`, `lib/modules` and `vmlinux`, the kernel for QEMU
 */
export async function kernel(release: RhelRelease): Promise<string> {
  const source = rhel[release].kernel;
  const omitted = disabled.filter((name) => name !== source.kept);
  const commands = commandsOf(`EXTRAVERSION=${releaseIn(await subjectOf(source))} ${source.variables ?? ''}`);
  const recipe = {
    release,
    commit: await commitOf(source),
    modules: modules.source,
    omitted,
    added,
    commands,
  };
  return cached(
    'el-kernel',
    recipe,
    async (folder) => {
      const tree = join(folder, 'source');
      await exportSource(source, tree, (path) => !unneeded.test(path));
      await writeFile(join(tree, '.config'), trim(await rhelConfig(tree), omitted));
      await build(release, folder, commands);
      await rm(tree, { recursive: true });
    },
    keepMinutes,
  );
}

const commandsOf = (variables: string): string => `cd source
make -s olddefconfig 2>/dev/null
make -s -j${availableParallelism()} ${variables} bzImage modules
make -s ${variables} INSTALL_MOD_PATH=/src INSTALL_MOD_STRIP=1 modules_install
version=$(make -s ${variables} kernelrelease)
rm -f /src/lib/modules/$version/build /src/lib/modules/$version/source
mkdir /src/boot
cp arch/x86/boot/bzImage /src/boot/vmlinuz-$version
cp .config /src/boot/config-$version
if grep -q '^CONFIG_PVH=y' .config; then strip --strip-debug -o /src/vmlinux vmlinux; else cp arch/x86/boot/bzImage /src/vmlinux; fi`;

/**
 * Returns the end of the version that RHEL's spec file gives to make.
 *
 * @param subject of a commit that names the source package
 */
export function releaseIn(subject: string): string {
  const [, release] = /kernel-[\d.]+(-[\d.]+\.el\w+)\.src\.rpm$/.exec(subject) ?? [];
  if (release === undefined) throw new Error(`no package of a kernel in "${subject}"`);
  return `${release}.x86_64`;
}

/** Returns RHEL's configuration. Since RHEL 9, it has a file for each option, the more specific folder last. */
async function rhelConfig(tree: string): Promise<string> {
  const whole = join(tree, 'almalinux/kernel-x86_64.config');
  if (existsSync(whole)) return readFile(whole, 'utf8');
  const parts: string[] = [];
  for (const origin of ['common', 'rhel'])
    for (const layer of ['generic', 'generic/x86', 'generic/x86/x86_64']) {
      const folder = join(tree, 'redhat/configs', origin, layer);
      const names = await readdir(folder).catch(() => []);
      for (const name of names.filter((each) => each.startsWith('CONFIG_')))
        parts.push(await readFile(join(folder, name), 'utf8'));
    }
  return parts.join('');
}

/** @param omitted the options that are disabled even if RHEL builds them in */
export function trim(config: string, omitted: readonly string[] = disabled): string {
  const lines = config.split('\n').map((line) => {
    const [, name = '', value = ''] = /^CONFIG_(\w+)=(.*)$/.exec(line) ?? [];
    return value === 'm' && !modules.test(name) ? off(name) : line;
  });
  return [...lines, ...omitted.map(off), added].join('\n');
}

/** A list in fewer lines than as an array. */
function words(text: string): string[] {
  return text.trim().split(/\s+/);
}

const off = (name: string) => `# CONFIG_${name} is not set`;
