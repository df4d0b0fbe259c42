// The fake as a program, in place of `ollama serve`. The compile cache keeps the start under 200 ms and the memory small: with it,
// the compiler for TypeScript sees no file but this one.
import { enableCompileCache } from 'node:module';

enableCompileCache();
await import('./run.ts');
