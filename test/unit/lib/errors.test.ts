import fs from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SystemError, errorCode, errorMessage, isAbsent, onFile } from '../../../agent/lib/errors.ts';

const errors = suite('errors');

/** Returns the error of an action on /x. */
function errorOf(action: () => unknown): SystemError {
  try {
    onFile('/x', action);
  } catch (error) {
    assert.instance(error, SystemError);
    return error as SystemError;
  }
  throw new Error('no error');
}

for (const [title, action, message, code] of [
  ['open', () => fs.openSync('/none', 'r'), '/x: no such file or directory', 'ENOENT'],
  ['rename', () => fs.renameSync('/none, open', '/b'), '/x: no such file or directory', 'ENOENT'],
  ['read', () => fs.readFileSync('/'), '/x: illegal operation on a directory', 'EISDIR'],
] as const) {
  errors(`onFile names the file, without Node's call and path: ${title}`, () => {
    const error = errorOf(action);
    assert.equal([error.message, error.code], [message, code]);
  });
}

errors('onFile keeps a SystemError, and the message of an error without a code', () => {
  const own = new SystemError('/y: too large', 'EFBIG');
  assert.is(
    errorOf(() => {
      throw own;
    }),
    own,
  );
  const other = errorOf(() => {
    throw new Error('ENOENT: a, b');
  });
  assert.equal([other.message, other.code], ['/x: ENOENT: a, b', '']);
});

errors('isAbsent', () => {
  for (const [code, expected] of [
    ['ENOENT', true],
    ['ENOTDIR', true],
    ['EACCES', false],
    ['ELOOP', false],
    ['', false],
  ] as const) {
    assert.is(isAbsent(new SystemError('x', code)), expected, code);
  }
  assert.is(isAbsent('ENOENT'), false);
});

errors('errorCode and errorMessage of anything', () => {
  assert.equal([errorCode('x'), errorMessage('x')], ['', 'x']);
  const both = new AggregateError([new Error('a'), new Error('a'), new Error('b')]);
  assert.is(errorMessage(both), 'a, b');
});

errors.run();
