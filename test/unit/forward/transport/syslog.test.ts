import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ConnectOptions } from '../../../../agent/forward/transport/connection.ts';
import { connectSyslog } from '../../../../agent/forward/transport/syslog.ts';

const syslog = suite('syslog transport');

for (const [what, behave, expected] of [
  ['a server that reads has acknowledged after a second', () => undefined, ['acknowledged 1']],
  ['no event follows a failure', (socket: net.Socket) => void socket.destroy(), ['failed']],
] as const)
  syslog(what, async () => {
    const server = net.createServer((socket) => socket.once('data', () => behave(socket)));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as net.AddressInfo;
    const target = { protocol: 'syslog', carrier: 'tcp', host: '127.0.0.1', port, text: '' } as const;
    const transport = await connectSyslog(target, {} as ConnectOptions);
    const events: string[] = [];
    transport.listen({
      acknowledged: (count) => void events.push(`acknowledged ${count}`),
      drained: () => void events.push('drained'),
      failed: () => void events.push('failed'),
    });
    transport.send([{ text: 'a', cursor: 's=a' }], false);
    await sleep(1600);
    transport.destroy();
    server.close();
    assert.equal(events, [...expected]);
  });

syslog.run();
