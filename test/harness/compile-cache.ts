/**
 * Loaded before each file of tests, and before the agent where a test runs it from its sources. Caches the compiled code
 * of modules. The variable NODE_COMPILE_CACHE would also affect the programs that the tests start.
 */
import { enableCompileCache } from 'node:module';
import path from 'node:path';

enableCompileCache(path.join(import.meta.dirname, '../../build/compile-cache'));
