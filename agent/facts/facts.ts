import type { Config } from '../config/config.ts';
import type { Usage } from '../system/reader.ts';
import type { BootEnv } from './boot/boot-env.ts';
import type { Loader } from './boot/boot-loader.ts';
import type { Firmware } from './boot/firmware.ts';
import type { Layer } from './boot/layers.ts';
import type { Provisioning } from './boot/provisioning.ts';
import type { BlockDevice } from './disks/block-devices.ts';
import type { Disk } from './disks/disks.ts';
import type { Partition } from './disks/partitions.ts';
import type { readSwaps } from './disks/swaps.ts';
import type { Forwarder } from './forwarder.ts';
import type { Identity } from './identity.ts';
import type { LargestFile } from './largest-files.ts';
import type { LastReport } from './last-report.ts';
import type { readFstab } from './mounts/fstab-devices.ts';
import type { MountTable } from './mounts/mountinfo.ts';
import type { TargetProbes } from './mounts/targets.ts';
import type { Observed } from './observed.ts';
import type { Autostart } from './security/autostart.ts';
import type { Labels } from './security/labels.ts';
import type { Lockdown } from './security/lockdown.ts';

/** The state of this guest as it was read (gather.ts), without judgements (agent/assess/). */
export interface Facts extends TargetProbes {
  identity: Identity;
  config: Config;
  /** Messages about the configuration and about `immutafs=` on the kernel command line. */
  configProblems: string[];
  /** Those that keep the forwarder from starting. */
  forwardProblems: string[];
  /** The words of the kernel command line. */
  kernelArgument: string[];
  /** `immutafs=` on the kernel command line, else MODE. */
  requestedMode: string;
  mounts: MountTable;
  /** The reasons why the agent's view is not that of the guest. */
  namespaceProblems: Observed<string[]>;
  /** The disks below mounted file systems. */
  disks: Observed<Disk[]>;
  /** All block devices, mounted or not. */
  blockDevices: Observed<BlockDevice[]>;
  /** undefined if the boot left no boot.env. */
  bootEnv: Observed<BootEnv | undefined>;
  /** The overlays of boot.env, /var first. */
  layers: Layer[];
  /** Of the overlay on /var, whose statfs(2) has the numbers of the upper layer; undefined if /var is no overlay. */
  varUsage: Observed<Usage | undefined>;
  /** The largest files and folders of the upper layer; empty while it is not nearly full. */
  largestFiles: Observed<LargestFile[]>;
  fstab: Observed<ReturnType<typeof readFstab>>;
  swaps: Observed<ReturnType<typeof readSwaps>>;
  /** Whether SELinux is on, enforcing or not. */
  selinux: Observed<boolean>;
  /** undefined without SELinux. */
  labels: Observed<Labels | undefined>;
  /** Whether /.autorelabel exists, which requests a relabelling at the next boot. */
  autorelabel: Observed<boolean>;
  conflictingOverlays: Observed<string[]>;
  lockdown: Observed<Lockdown>;
  /** Of all disks, mounted or not. */
  partitions: Observed<Partition[]>;
  /** undefined if a BIOS started this guest. */
  firmware: Observed<Firmware | undefined>;
  loader: Observed<Loader>;
  provisioning: Observed<Provisioning>;
  /** Of all users who may log in or linger. */
  autostart: Observed<Autostart[]>;
  /** The target of the link /etc/mtab; undefined if it is no link. */
  mtab: Observed<string | undefined>;
  /** undefined if the forwarder has not run in this boot. */
  forward: Observed<Forwarder | undefined>;
  /** The last report of `check` in this boot. */
  lastReport: Observed<LastReport | undefined>;
}
