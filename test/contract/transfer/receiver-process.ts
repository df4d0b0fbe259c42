// A receiver of its own process, so that a test can kill it midway. Slow on purpose.
import { openTransfer } from '../../../src/drivers/transfer/transfer.ts';

process.once('message', async (message) => {
  const { tls, port, digest, sizeBytes, file } = message as Record<'digest' | 'file', string> & {
    readonly tls: { readonly ca: string; readonly cert: string; readonly key: string };
    readonly port: number;
    readonly sizeBytes: number;
  };
  const transfer = await openTransfer({
    cluster: 'lab',
    tls,
    listen: null,
    root: '/nonexistent',
    peers: new Map([['gpu1', { host: '127.0.0.1', port }]]),
    bytesPerSecondMax: 8 * 1024 * 1024,
    log: () => undefined,
  });
  await transfer.fetchBlob({
    digest,
    sizeBytes,
    file,
    sources: ['gpu1'],
    progress: (progress) => process.send?.(progress),
    signal: new AbortController().signal,
  });
});
