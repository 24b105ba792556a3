import fs from 'node:fs';
import http from 'node:http';
import type net from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type OutgoingMessage, RefusedError, type Transport } from '../../../../agent/forward/stages.ts';
import type { ConnectOptions } from '../../../../agent/forward/transport/connection.ts';
import { relpWindow } from '../../../../agent/forward/transport/relp.ts';
import { connectUpload, uploadWindow } from '../../../../agent/forward/transport/upload.ts';
import { runEntries } from '../../../../agent/lib/journal-export/entry.ts';

const upload = suite('upload transport');

const servers: { close: () => void; transport: Transport }[] = [];
upload.after.each(() => {
  for (const { close, transport } of servers.splice(0)) {
    transport.destroy();
    close();
  }
});

/**
 * Starts a server, and connects to it.
 * @param status the status of the response to a request with this body
 * @param early responds before the request is complete
 */
async function connect(status: (body: string) => number = () => 202, early = false) {
  const bodies: string[] = [];
  const server = http.createServer((request, response) => {
    let body = '';
    request.setEncoding('latin1');
    request.on('data', (text: string) => {
      body += text;
      if (early) response.writeHead(202).end();
    });
    request.on('end', () => {
      bodies.push(body);
      if (!early || body === '') response.writeHead(status(body)).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  const target = { protocol: 'journal', carrier: 'tcp', host: '127.0.0.1', port, text: '' } as const;
  const transport = await connectUpload(target, {} as ConnectOptions);
  servers.push({ transport, close: () => void server.close() });
  const acknowledged: number[] = [];
  const event = () =>
    new Promise<Error | undefined>((resolve) => {
      transport.listen({
        acknowledged: (count) => {
          acknowledged.push(count);
          resolve(undefined);
        },
        drained: () => undefined,
        failed: resolve,
      });
    });
  /** Sends a request of its own. @returns the error */
  const request = (...all: OutgoingMessage[]) => {
    const done = event();
    transport.send(all, true);
    return done;
  };
  // The first request is empty.
  return { transport, acknowledged, event, request, bodies: () => bodies.slice(1) };
}

const messages = (...texts: string[]): OutgoingMessage[] =>
  texts.map((text) => ({ text, cursor: `s=${text}` }));

const runOf = (content: string, count: number): OutgoingMessage => ({
  ...{ text: '', cursor: 's=r' },
  run: { first: 's=r', count, bytes: Buffer.from(content, 'latin1') },
});

upload('what is sent while a request is open belongs to this request', async () => {
  const { transport, acknowledged, event, bodies } = await connect();
  const done = event();
  transport.send(messages('a', 'b'), false);
  transport.send([runOf('cd\xff', 2)], false);
  await done;
  assert.equal(bodies(), ['abcd\xff']);
  assert.equal(acknowledged, [4]);
});

upload('separate messages are a request of their own', async () => {
  const { transport, acknowledged, request, bodies } = await connect();
  const done = request(...messages('a'));
  assert.is(transport.capacity(), 0);
  await done;
  await request(...messages('b'));
  assert.equal(bodies(), ['a', 'b']);
  assert.equal(acknowledged, [1, 1]);
});

upload('a request with many entries ends at once; the next has twice as many; a run fits in', async () => {
  const { transport, acknowledged, event } = await connect();
  const limits = [8192, 16_384, 32_768, 65_536, 65_536];
  for (const limit of limits) {
    const done = event();
    transport.send(messages(...Array.from({ length: limit - 1 }, () => '')), false);
    assert.ok(transport.capacity() >= runEntries, `${transport.capacity()}`);
    transport.send([runOf('run', runEntries)], false);
    assert.is(transport.capacity(), 0);
    await done;
  }
  assert.equal(
    acknowledged,
    limits.map((limit) => limit - 1 + runEntries),
  );
  assert.is(Math.max(...acknowledged), uploadWindow - 1);
});

upload('the documentation names how many entries may be sent twice', async () => {
  const { transport } = await connect();
  const text = fs.readFileSync(`${import.meta.dirname}/../../../../docs/log-server.md`, 'utf8');
  const first = transport.capacity().toLocaleString('en');
  assert.ok(text.includes(`with journal upload, at most ${first},`), first);
  const [, sentence = ''] = /(entries may be sent twice:[^.]*)\./.exec(text.replace(/\s+/g, ' ')) ?? [];
  for (const window of [relpWindow, uploadWindow])
    assert.ok(sentence.includes(window.toLocaleString('en')), sentence);
});

upload('after requests with few entries, the next one is not larger', async () => {
  const { transport, request } = await connect();
  const before = transport.capacity();
  for (const text of ['a', 'b']) await request(...messages(text));
  assert.is(transport.capacity(), before);
});

upload('a request stays open while many entries are added, and ends soon afterwards', async () => {
  const { transport, acknowledged, event, bodies } = await connect();
  const done = event();
  for (let i = 0; i < 7; i += 1) {
    transport.send([runOf('run', runEntries)], false);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  assert.equal(bodies(), []);
  await done;
  assert.equal(bodies(), ['run'.repeat(7)]);
  assert.equal(acknowledged, [7 * runEntries]);
});

upload('a request stays open until an entry in pieces is complete', async () => {
  const { transport, event, bodies } = await connect();
  const done = event();
  transport.send([{ text: 'piece ', cursor: '', continues: true }], false);
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(bodies(), []);
  assert.ok(transport.capacity() > 0);
  transport.send(messages('end'), false);
  assert.is(transport.capacity(), 0);
  await done;
  assert.equal(bodies(), ['piece end']);
});

for (const separate of [true, false])
  upload(`a refusal concerns every entry of the request, separate: ${separate}`, async () => {
    const { transport, event } = await connect((body) => (body === '' ? 202 : 417));
    const done = event();
    transport.send([...messages('a'), runOf('run', 7)], separate);
    const error = await done;
    assert.instance(error, RefusedError);
    assert.is((error as RefusedError).count, 8);
  });

upload('a server that accepts an incomplete request has acknowledged nothing', async () => {
  const { transport, acknowledged, event } = await connect(() => 202, true);
  const done = event();
  transport.send([{ text: 'piece', cursor: '', continues: true }], false);
  assert.match((await done)?.message ?? '', /not complete/);
  assert.equal(acknowledged, []);
});

upload.run();
