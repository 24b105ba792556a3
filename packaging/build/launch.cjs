// The main script of the executable: runs the program in the same blob, with the code that V8 compiled during the build
// (code-cache.ts). If V8 rejects the cache, the start only takes longer.
const { getRawAsset } = require('node:sea');
const { Script } = require('node:vm');

// The buffer is a view of the executable's memory. Latin-1 decodes the program correctly, because its text is ASCII.
const source = Buffer.from(getRawAsset('program.cjs')).latin1Slice();
const cachedData = Buffer.from(getRawAsset('program.cache'));
const script = new Script(source, { filename: 'immutafs-agent.cjs', cachedData });
script.runInThisContext()(require, module, script.cachedDataRejected);
