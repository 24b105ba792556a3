import type { Config } from '../config/config.ts';
import type { Usage } from '../system/reader.ts';
import type { BootState } from './boot-state.ts';
import type { BootEnv } from './boot/boot-env.ts';
import type { Loader } from './boot/boot-loader.ts';
import type { Firmware } from './boot/firmware.ts';
import type { Layer } from './boot/layers.ts';
import type { Overlay } from './boot/overlays.ts';
import type { PersistEntry } from './boot/persist.ts';
import type { Provisioning } from './boot/provisioning.ts';
import type { BlockDevice, Partition } from './disks/block-devices.ts';
import type { Disk } from './disks/disks.ts';
import type { readSwaps } from './disks/swaps.ts';
import type { Forwarder } from './forwarder.ts';
import type { Identity } from './identity.ts';
import type { LargestFile } from './largest-files.ts';
import type { ResetStates } from './reset-state.ts';
import type { LastReport } from './last-report.ts';
import type { readFstab } from './mounts/fstab.ts';
import type { MountUnit } from './mounts/mount-units.ts';
import type { MountTable } from './mounts/mountinfo.ts';
import type { TargetProbes } from './mounts/targets.ts';
import type { Observed } from './observed.ts';
import type { AuditTrail } from './security/audit-trail.ts';
import type { HomeAutostart } from './security/autostart.ts';
import type { UsageSample } from './usage-history.ts';
import type { ServiceDomains } from './security/service-domains.ts';
import type { Labels } from './security/labels.ts';
import type { ExecBypass } from './security/exec-bypass.ts';
import type { Lockdown } from './security/lockdown.ts';
import type { ForeignPrograms } from './security/programs/foreign-programs.ts';
import type { RandomSources } from './security/random-sources.ts';

/** The state of this guest as gather.ts reads it, without the judgements of agent/assess/. */
export interface Facts extends TargetProbes {
  identity: Identity;
  config: Config;
  /** Messages about the configuration and about `immutafs=` on the kernel command line. */
  configProblems: string[];
  /** The subset of configProblems that prevents the forwarder from starting. */
  forwardProblems: string[];
  /** The arguments on the kernel command line. */
  kernelArgument: string[];
  /** The value of `immutafs=` on the kernel command line, otherwise MODE. */
  requestedMode: string;
  mounts: MountTable;
  /** The reasons why the agent does not see the same system as PID 1 of the guest. */
  namespaceProblems: Observed<string[]>;
  /** The disks below mounted file systems. */
  disks: Observed<Disk[]>;
  /** All block devices, mounted or not. */
  blockDevices: Observed<BlockDevice[]>;
  /** undefined if boot.env does not exist. */
  bootEnv: Observed<BootEnv | undefined>;
  /** The overlays that boot.env records, /var first. */
  layers: Layer[];
  /** The paths of OVERLAY. */
  overlays: Observed<Overlay[]>;
  /** The paths of PERSIST with the outcome in this boot. */
  persist: PersistEntry[];
  /** statfs(2) of the overlay on /var, which reports the upper layer; undefined if /var is not an overlay. */
  varUsage: Observed<Usage | undefined>;
  /** The largest files and directories of the upper layers, which share a tmpfs; empty if its use is below USAGE_WARN. */
  largestFiles: Observed<LargestFile[]>;
  /** The undecided state that the next reboot resets (reset-state.ts); nothing if /var is not an overlay. */
  resetState: Observed<ResetStates>;
  /** The samples of the use of the upper layer that `check` has kept in this boot. */
  usageHistory: Observed<UsageSample[]>;
  /** The mount points of writable ext4 file systems with errors=panic. */
  panicking: Observed<string[]>;
  fstab: Observed<ReturnType<typeof readFstab>>;
  /** The mount units of the system disk. */
  mountUnits: Observed<MountUnit[]>;
  swaps: Observed<ReturnType<typeof readSwaps>>;
  /** Whether SELinux is enabled, in enforcing or permissive mode. */
  selinux: Observed<boolean>;
  /** undefined if SELinux is disabled. */
  labels: Observed<Labels | undefined>;
  /** undefined if SELinux is disabled. */
  serviceDomains: Observed<ServiceDomains | undefined>;
  /** Whether /.autorelabel exists, which requests a relabelling at the next boot. */
  autorelabel: Observed<boolean>;
  conflictingOverlays: Observed<string[]>;
  lockdown: Observed<Lockdown>;
  execBypass: Observed<ExecBypass>;
  randomSources: Observed<RandomSources>;
  /** Whether the kernel runs in FIPS mode. */
  fips: Observed<boolean>;
  /**
   * The running programs that did not come from the sealed disk. undefined if they were not searched for: with
   * FOREIGN_PROGRAMS=off or MODE=off, or if the host did not make the disk of the root file system read-only.
   */
  programs: Observed<ForeignPrograms | undefined>;
  /** The partitions of all disks, mounted or not. */
  partitions: Observed<Partition[]>;
  /** undefined if a BIOS started this guest. */
  firmware: Observed<Firmware | undefined>;
  loader: Observed<Loader>;
  provisioning: Observed<Provisioning>;
  /** The start-up files of all users who can log in or linger. */
  autostart: Observed<HomeAutostart[]>;
  /** The target of the symbolic link /etc/mtab; undefined if /etc/mtab is not a symbolic link. */
  mtab: Observed<string | undefined>;
  /** undefined if the forwarder has not run in this boot. */
  forward: Observed<Forwarder | undefined>;
  /** undefined if auditd does not run. */
  audit: Observed<AuditTrail | undefined>;
  /** What the first check of this boot recorded; undefined before it. */
  bootState: Observed<BootState | undefined>;
  /** How the clock was set since then; undefined if it was not. */
  clockChange: string | undefined;
  /** The last report that `check` wrote in this boot; undefined if there is none. */
  lastReport: Observed<LastReport | undefined>;
}
