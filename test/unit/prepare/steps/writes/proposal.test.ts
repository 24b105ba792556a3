import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseConfig } from '../../../../../agent/config/config.ts';
import {
  canOverlay,
  editConfig,
  proposedOverlay,
} from '../../../../../agent/prepare/steps/writes/proposal.ts';
import type { SystemReader } from '../../../../../agent/system/reader.ts';
import { maintenanceGuest, withGuest } from '../../../../harness/guest.ts';
import { errorOf } from '../../../../harness/rejection.ts';

const proposals = suite('proposed lines');
const proposed = (config: { OVERLAY?: string; PERSIST?: string; SCRATCH?: string }, ...items: string[][]) =>
  proposedOverlay(
    { OVERLAY: '', PERSIST: '', SCRATCH: '', ...config },
    items.map((overlay) => ({ overlay })),
  );

proposals('items are merged with what is configured, and options stay', () => {
  assert.is(proposed({ OVERLAY: '/opt/agent:noexec' }, ['/root'], []), '/opt/agent:noexec /root');
});

proposals('nothing is added that a configured or proposed path contains', () => {
  assert.is(proposed({ OVERLAY: '/opt' }, ['/opt/agent']), '/opt');
  assert.is(proposed({ PERSIST: '/opt/agent:exec' }, ['/opt/agent/state']), '');
  assert.is(proposed({ SCRATCH: '/opt/agent:exec' }, ['/opt/agent/cache']), '');
  assert.is(proposed({}, ['/data/a', '/data']), '/data');
  assert.is(proposed({ OVERLAY: '/opt/a' }, ['/opt/ab']), '/opt/a /opt/ab');
});

proposals('an overlay is proposed only where it is permitted and no foothold for every program', () => {
  const yes = ['/opt', '/opt/agent', '/root', '/usr/local/agent'];
  const no = [
    ...['/opt/a b', '/opt/link/x', '/usr', '/usr/local', '/usr/share', '/usr/share/x'],
    ...['/etc', '/etc/x', '/boot', '/home'],
  ];
  const stat = (file: string) => {
    if (file === '/opt/link') return { kind: 'link' };
    return [...yes, ...no].includes(file) ? { kind: 'directory' } : undefined;
  };
  const reader = { stat } as unknown as SystemReader;
  const proposedAt = [...yes, ...no, '/opt/link', '/', '/absent', '/opt/absent'].filter((each) =>
    canOverlay(reader, each),
  );
  assert.equal(proposedAt, yes);
});

const edit = (text: string | { linkTo: string }, values: Parameters<typeof editConfig>[1]) => {
  const guest = maintenanceGuest();
  guest.files['etc/immutafs/immutafs.conf'] = text;
  return withGuest(guest, (reader) => editConfig(reader, values));
};

proposals('the line is replaced, or added below the delivered comment, or at the end', async () => {
  for (const [before, after] of [
    ['OVERLAY=/a\nMODE=auto\n', 'OVERLAY=/a /b\nMODE=auto\n'],
    ['#OVERLAY=\n\n#PERSIST=\n', '#OVERLAY=\nOVERLAY=/a /b\n\n#PERSIST=\n'],
    ['MODE=auto', 'MODE=auto\nOVERLAY=/a /b\n'],
    ['', 'OVERLAY=/a /b\n'],
  ] as const) {
    const action = await edit(before, { OVERLAY: '/a /b' });
    assert.equal(action, [{ do: 'edit', file: '/etc/immutafs/immutafs.conf', before, after }]);
    assert.is(parseConfig(after).config.OVERLAY, '/a /b');
    assert.equal(parseConfig(after).problems, []);
  }
});

proposals('nothing to add is no action', async () => {
  assert.equal(await edit('OVERLAY=/a\n', {}), []);
  assert.equal(await edit('OVERLAY=/a\n', { OVERLAY: '/a' }), []);
});

proposals('a link to no file is an error', async () => {
  const error = await errorOf(edit({ linkTo: '/run/x' }, { OVERLAY: '/a' }));
  assert.match(error.message, /^\/etc\/immutafs\/immutafs\.conf: no such file/);
});

proposals('a line that is invalid, or given twice, is left to the administrator', async () => {
  for (const text of ['OVERLAY=/a nonsense\n', 'OVERLAY=/a\nOVERLAY=/b\n']) {
    assert.match(
      (await edit(text, { OVERLAY: '/c' })) as string,
      /^\/etc\/immutafs\/immutafs\.conf:\d: OVERLAY: /,
    );
  }
  assert.type(await edit('MODE=nonsense\n', { OVERLAY: '/c' }), 'object', 'another key does not matter');
});
proposals.run();
