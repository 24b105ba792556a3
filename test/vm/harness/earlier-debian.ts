import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { agentRpm, installRpm } from './agent.ts';
import { cached, digest } from './cache.ts';

const packages = ['systemd', 'systemd-sysv', 'dbus', 'passwd', 'rpm'];

/**
 * Returns a tree with an earlier release of Debian, with the agent's package installed, for `runInContainer`. It has no
 * kernel.
 */
export async function earlierDebian(release: string): Promise<string> {
  const rpm = await agentRpm();
  const recipe = { release, packages, rpm: digest(await readFile(rpm)) };
  return cached('earlier-debian', recipe, async (folder) => {
    const root = join(folder, 'root');
    const include = `--include=${packages.join(',')}`;
    const options = ['--quiet', '--variant=essential', '--dpkgopt=force-unsafe-io', include];
    await execa('mmdebstrap', [...options, release, root]);
    await installRpm(root, rpm);
  });
}
