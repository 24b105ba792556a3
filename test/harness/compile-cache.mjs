/**
 * Loaded before each file of tests, and before the agent where a test runs it from its sources. Caches the compiled code
 * of modules. JavaScript, because Node.js would load its TypeScript compiler for this file, and needs it for no cached one.
 */
import { enableCompileCache } from 'node:module';
import path from 'node:path';

// The variable NODE_COMPILE_CACHE would also affect the programs that the tests start.
enableCompileCache(path.join(import.meta.dirname, '../../build/compile-cache'));
