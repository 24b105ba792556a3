import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SystemError } from '../../../agent/lib/errors.ts';
import { systemWriter } from '../../../agent/system/writer.ts';
import { inTemporaryDirectory, writeFiles } from '../../harness/temporary.ts';

function fails(action: () => unknown, code: string, said: RegExp): void {
  assert.throws(action, (error: unknown) => {
    assert.instance(error, SystemError);
    assert.is((error as SystemError).code, code);
    assert.match((error as SystemError).message, said);
    return true;
  });
}

const writing = suite('replaceFile');
writing('replaces a file whole, with the given mode', () => {
  inTemporaryDirectory((root) => {
    const writer = systemWriter(root);
    writer.writeAtomically('/a', 'one', 0o600);
    writer.writeAtomically('/a', 'two', 0o644);
    const file = path.join(root, 'a');
    assert.is(fs.readFileSync(file, 'utf8'), 'two');
    assert.is(fs.statSync(file).mode & 0o7777, 0o644);
    assert.equal(fs.readdirSync(root), ['a']);
  });
});

writing('a process that has the old file open keeps it', () => {
  inTemporaryDirectory((root) => {
    const writer = systemWriter(root);
    writer.writeAtomically('/a', 'old', 0o644);
    const fd = fs.openSync(path.join(root, 'a'), 'r');
    writer.writeAtomically('/a', 'new', 0o644);
    assert.is(fs.readFileSync(fd, 'utf8'), 'old');
    fs.closeSync(fd);
  });
});

writing('replaces a link and does not follow it', () => {
  inTemporaryDirectory((root) => {
    writeFiles(root, { victim: 'mine', a: { linkTo: 'victim' } });
    systemWriter(root).writeAtomically('/a', 'x', 0o644);
    assert.is(fs.readFileSync(path.join(root, 'victim'), 'utf8'), 'mine');
    assert.is(fs.readFileSync(path.join(root, 'a'), 'utf8'), 'x');
  });
});

writing('leaves no file if it fails', () => {
  inTemporaryDirectory((root) => {
    fs.mkdirSync(path.join(root, 'a'));
    const writer = systemWriter(root);
    fails(() => writer.writeAtomically('/a', 'x', 0o644), 'EISDIR', /^\/a: /);
    assert.equal(fs.readdirSync(root), ['a']);
    fails(() => writer.writeAtomically('/none/a', 'x', 0o644), 'ENOENT', /^\/none\/a: /);
  });
});
writing.run();
