import type { Impostor } from '../../assess/impostors.ts';

/** What the boot left in /run/immutafs/boot.env (dracut/assemble-var). */
export interface BootEnv {
  version: string;
  /** What decided the mode. */
  stage: 'initramfs' | 'late';
  /** Seconds since the kernel started. */
  uptime: number;
  mode: Mode;
  reason: string;
  /** "vda:1:virtio-feature …": the disks under / as the initramfs saw them. */
  disks: string;
  /** What became of /var. */
  var: 'overlay' | 'disk' | 'deferred' | 'failed';
  /** What assembled it; `none` where it is no overlay. */
  assembled: 'initramfs' | 'late' | 'none';
  errors: string[];
  warnings: string[];
  /** "/var/log overlay": what became of /var and each file system below it in late boot. */
  layers: string[];
  /** Devices that carried an identity of a device on a sealed disk, and were passed over. */
  impostors: Impostor[];
}

export type Mode = 'sealed' | 'maintenance' | 'off';

export const bootEnvFile = '/run/immutafs/boot.env';

/**
 * Late boot appends to what the initramfs wrote: the last line of a key counts.
 * @throws Error naming what is missing or wrong: the file is ours, so it is whole or somebody wrote in it
 */
export function parseBootEnv(text: string): BootEnv {
  const values = new Map<string, string>();
  const lists = {
    WARNING: [] as string[],
    ERROR: [] as string[],
    LAYER: [] as string[],
    IMPOSTOR: [] as string[],
  };
  for (const line of text.split('\n').filter((each) => each !== '')) {
    const [, key, value] = /^([A-Z_]+)=(.*)$/.exec(line) ?? [];
    if (key === undefined || value === undefined) throw new Error(`${bootEnvFile}: not KEY=value: ${line}`);
    if (isList(key)) lists[key].push(value);
    else values.set(key, value);
  }
  const get = (key: string) => {
    const value = values.get(key);
    if (value === undefined) throw new Error(`${bootEnvFile}: ${key} is missing`);
    return value;
  };
  return {
    version: get('VERSION'),
    stage: oneOf(['initramfs', 'late'], 'STAGE', get('STAGE')),
    uptime: seconds('UPTIME', get('UPTIME')),
    mode: oneOf(['sealed', 'maintenance', 'off'], 'MODE', get('MODE')),
    reason: get('REASON'),
    disks: get('DISKS'),
    var: oneOf(['overlay', 'disk', 'deferred', 'failed'], 'VAR', get('VAR')),
    assembled: oneOf(['initramfs', 'late', 'none'], 'ASSEMBLED', values.get('ASSEMBLED') ?? 'none'),
    // What fails is tried again by whatever needs it.
    errors: [...new Set(lists.ERROR)],
    warnings: lists.WARNING,
    layers: lists.LAYER,
    impostors: lists.IMPOSTOR.map(impostor),
  };
}

function isList(key: string): key is 'WARNING' | 'ERROR' | 'LAYER' | 'IMPOSTOR' {
  return ['WARNING', 'ERROR', 'LAYER', 'IMPOSTOR'].includes(key);
}

/** "DEVICE SEALED-DEVICE IDENTITY" */
function impostor(value: string): Impostor {
  const [, device, sealedDevice, identity] = /^(\S+) (\S+) (.+)$/.exec(value) ?? [];
  if (device === undefined || sealedDevice === undefined || identity === undefined) {
    throw new Error(`${bootEnvFile}: IMPOSTOR=${value} is not two devices and an identity`);
  }
  return { device, sealedDevice, identity };
}

/** As in /proc/uptime (proc_uptime(5)). */
function seconds(key: string, value: string): number {
  if (!/^\d{1,12}(\.\d{1,9})?$/.test(value)) throw new Error(`${bootEnvFile}: ${key}=${value} is no time`);
  return Number(value);
}

function oneOf<T extends string>(allowed: readonly T[], key: string, value: string): T {
  const found = allowed.find((each) => each === value);
  if (found === undefined)
    throw new Error(`${bootEnvFile}: ${key}=${value} is none of ${allowed.join(', ')}`);
  return found;
}
