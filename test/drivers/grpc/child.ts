// A process of its own that holds one link, to be killed. Arguments: id, peer id, peer address, ca, cert, key.
import { createPeers } from '../../../src/drivers/grpc/peers.ts';

const [id = '', peer = '', address = '', ca = '', cert = '', key = ''] = process.argv.slice(2);
const peers = await createPeers({
  self: { node: id, boot: 1 },
  cluster: 'lab',
  tls: { ca, cert, key },
  listen: { host: '127.0.0.1', port: 0 },
  answers: {
    members: () => [],
    inventory: () => ({ inventory: { version: 0, models: [], refused: null }, epoch: 0, boot: 1 }),
    manifest: async () => null,
    probe: async () => false,
  },
  control: null,
  socketPath: null,
  sink: () => {},
  log: () => {},
});
if ('error' in peers) throw new Error(peers.error.message);
peers.dial(peer, address);
process.stdout.write(`${peers.port}\n`);
