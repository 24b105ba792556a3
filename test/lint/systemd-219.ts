/** Directives for the execution environment of a unit's processes. */
const execution = `
  WorkingDirectory RootDirectory User Group SupplementaryGroups Nice OOMScoreAdjust IOSchedulingClass
  IOSchedulingPriority CPUSchedulingPolicy CPUSchedulingPriority CPUSchedulingResetOnFork CPUAffinity UMask
  Environment EnvironmentFile StandardInput StandardOutput StandardError TTYPath TTYReset TTYVHangup
  TTYVTDisallocate SyslogIdentifier SyslogFacility SyslogLevel SyslogLevelPrefix Capabilities SecureBits
  CapabilityBoundingSet TimerSlackNSec NoNewPrivileges SystemCallFilter SystemCallArchitectures
  SystemCallErrorNumber RestrictAddressFamilies LimitCPU LimitFSIZE LimitDATA LimitSTACK LimitCORE LimitRSS
  LimitNOFILE LimitAS LimitNPROC LimitMEMLOCK LimitLOCKS LimitSIGPENDING LimitMSGQUEUE LimitNICE LimitRTPRIO
  LimitRTTIME ReadWriteDirectories ReadOnlyDirectories InaccessibleDirectories PrivateTmp PrivateNetwork
  PrivateDevices ProtectSystem ProtectHome MountFlags Personality RuntimeDirectoryMode RuntimeDirectory PAMName
  IgnoreSIGPIPE UtmpIdentifier UtmpMode SELinuxContext AppArmorProfile SmackProcessLabel
  Slice CPUAccounting CPUShares StartupCPUShares CPUQuota MemoryAccounting MemoryLimit DeviceAllow DevicePolicy
  BlockIOAccounting BlockIOWeight StartupBlockIOWeight BlockIODeviceWeight BlockIOReadBandwidth
  BlockIOWriteBandwidth Delegate
  SendSIGKILL SendSIGHUP KillMode KillSignal`;

const conditions = `
  PathExists PathExistsGlob PathIsDirectory PathIsSymbolicLink PathIsMountPoint PathIsReadWrite DirectoryNotEmpty
  FileNotEmpty FileIsExecutable NeedsUpdate FirstBoot KernelCommandLine Architecture Virtualization Security
  Capability Host ACPower Null`;

/**
 * The directives that systemd 219 (RHEL 7) knows, by section: src/core/load-fragment-gperf.gperf.m4 of v219. RHEL's
 * version knows a few more.
 */
export const directives: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  [
    'Unit',
    words(
      `Description Documentation SourcePath Requires RequiresOverridable Requisite RequisiteOverridable Wants BindsTo
       BindTo Conflicts Before After OnFailure PropagatesReloadTo PropagateReloadTo ReloadPropagatedFrom
       PropagateReloadFrom PartOf JoinsNamespaceOf RequiresMountsFor StopWhenUnneeded RefuseManualStart
       RefuseManualStop AllowIsolate DefaultDependencies OnFailureJobMode OnFailureIsolate IgnoreOnIsolate
       IgnoreOnSnapshot JobTimeoutSec JobTimeoutAction JobTimeoutRebootArgument`,
      prefixed('Condition'),
      prefixed('Assert'),
    ),
  ],
  [
    'Service',
    words(
      `PIDFile ExecStartPre ExecStart ExecStartPost ExecReload ExecStop ExecStopPost RestartSec TimeoutSec
       TimeoutStartSec TimeoutStopSec WatchdogSec StartLimitInterval StartLimitBurst StartLimitAction RebootArgument
       FailureAction Type Restart PermissionsStartOnly RootDirectoryStartOnly RemainAfterExit GuessMainPID
       RestartPreventExitStatus RestartForceExitStatus SuccessExitStatus SysVStartPriority NonBlocking BusName
       FileDescriptorStoreMax NotifyAccess Sockets BusPolicy`,
      execution,
    ),
  ],
  [
    'Timer',
    words(`OnCalendar OnActiveSec OnBootSec OnStartupSec OnUnitActiveSec OnUnitInactiveSec Persistent WakeSystem
           AccuracySec Unit`),
  ],
  [
    'Path',
    words(
      'PathExists PathExistsGlob PathChanged PathModified DirectoryNotEmpty Unit MakeDirectory DirectoryMode',
    ),
  ],
  ['Mount', words('What Where Options Type TimeoutSec DirectoryMode SloppyOptions', execution)],
  ['Install', words('Alias WantedBy RequiredBy Also DefaultInstance')],
]);

/** Directives of [Service] that drop-ins for newer versions use, and the first version that knows them: systemd.exec(5). */
export const newerDirectives: ReadonlyMap<string, number> = new Map([
  ...named(231, 'MemoryDenyWriteExecute ReadOnlyPaths RestrictRealtime'),
  ...named(232, 'ProtectControlGroups ProtectKernelModules ProtectKernelTunables RemoveIPC'),
  ...named(233, 'RestrictNamespaces'),
  ...named(235, 'LockPersonality'),
  ...named(242, 'RestrictSUIDSGID'),
  ...named(244, 'ProtectKernelLogs'),
  ...named(245, 'ProtectClock'),
  ...named(247, 'ProtectProc'),
]);

function named(version: number, names: string): [string, number][] {
  return [...words(names)].map((name) => [name, version]);
}

function words(...texts: string[]): Set<string> {
  return new Set(texts.join(' ').trim().split(/\s+/));
}

function prefixed(prefix: string): string {
  return [...words(conditions)].map((name) => prefix + name).join(' ');
}
