import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readExecutableLines } from '../../../agent/system/executable-lines.ts';

const lines = suite('the executable lines of maps');

/** Calls `work` with a folder that contains the maps of processes. */
async function withMaps(
  maps: Record<number, string>,
  work: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'maps-'));
  try {
    for (const [pid, text] of Object.entries(maps)) {
      fs.mkdirSync(path.join(folder, pid));
      fs.writeFileSync(path.join(folder, pid, 'maps'), text, 'latin1');
    }
    await work(folder);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

const line = (permissions: string, name: string) =>
  `1000-2000 ${permissions} 00000000 fd:00 12      ${name}\n`;

lines('each process has its executable lines, and one that has none or has exited is missing', () => {
  const [code, data, library] = [
    line('r-xp', '/usr/bin/a'),
    line('rw-p', '/usr/bin/a'),
    line('--xs', '/b\xff'),
  ];
  return withMaps({ 7: code + data + library, 8: data, 9: '', 110: data + code }, async (folder) => {
    const found = await readExecutableLines(folder, [7, 8, 9, 10, 110]);
    assert.equal(
      [...(found ?? [])],
      [
        [7, code + library],
        [110, code],
      ],
    );
  });
});

lines('a path does not pass for another process, nor for a permission', () =>
  withMaps({}, async (folder) => {
    const code = line('r-xp', `/x${folder}/7/maps:1000-2000 r-xp 00000000 fd:00 12 /usr/bin/b`);
    for (const [pid, text] of [
      [7, code + code],
      [8, line('rw-p', '/r-xp ')],
    ] as const) {
      fs.mkdirSync(path.join(folder, String(pid)));
      fs.writeFileSync(path.join(folder, String(pid), 'maps'), text);
    }
    assert.equal([...((await readExecutableLines(folder, [7, 8])) ?? [])], [[7, code + code]]);
  }),
);

lines('if a file cannot be read in time, or there is too much output, there is no result', () =>
  withMaps(
    { 7: line('r-xp', '/usr/bin/a'), 9: line('r-xp', `/${'a'.repeat(4000)}`).repeat(4500) },
    async (folder) => {
      assert.is(await readExecutableLines(folder, [7, 9]), undefined);
      fs.mkdirSync(path.join(folder, '8'));
      execFileSync('mkfifo', [path.join(folder, '8/maps')]);
      assert.is(await readExecutableLines(folder, [7, 8]), undefined);
      assert.is((await readExecutableLines(folder, [7]))?.size, 1);
    },
  ),
);

lines('if grep is killed, a part of the lines of a process does not pass for all of them', () =>
  withMaps({ 7: line('r-xp', '/usr/bin/a') + line('r-xp', '/tmp/b') }, async (folder) => {
    const program = (name: string, script: string) => {
      fs.writeFileSync(path.join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
      return path.join(folder, name);
    };
    const killed = program('killed', '/usr/bin/grep "$@" | head -n 1; kill -9 $$');
    assert.is(await readExecutableLines(folder, [7], killed), undefined);
    const failing = program('failing', '/usr/bin/grep "$@"; exit 2');
    assert.is((await readExecutableLines(folder, [7], failing))?.size, 1);
    assert.is(await readExecutableLines(folder, [7], path.join(folder, 'missing')), undefined);
  }),
);

lines.run();
