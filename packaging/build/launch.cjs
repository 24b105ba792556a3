// What the executable begins with: runs the program that is beside it in the blob, with the code that V8 compiled
// when it was built (build-code-cache.ts). A cache that V8 does not take costs time and nothing else.
const { getRawAsset } = require('node:sea');
const { Script } = require('node:vm');

// A view of the executable's own memory; the program's text is ASCII.
const source = Buffer.from(getRawAsset('program.cjs')).latin1Slice();
const cachedData = Buffer.from(getRawAsset('program.cache'));
const script = new Script(source, { filename: 'immutafs-agent.cjs', cachedData });
script.runInThisContext()(require, module, script.cachedDataRejected);
