import { defineConfig } from 'vitest/config';

// `anywhere`: no root needed. `root`: namespaces, nft, keepalived; one file at a time, since they share the machine.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'anywhere',
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.root.test.ts', 'node_modules/**'],
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'root',
          include: ['test/**/*.root.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
          maxWorkers: 1,
        },
      },
    ],
  },
});
