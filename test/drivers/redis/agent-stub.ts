// A stand-in for the agent: starts the managed Redis as the JSON in argv says, prints its pid, and waits to be killed.
import { startRedisServer } from '../../../src/drivers/redis-server/server.ts';

const options = JSON.parse(process.argv[2] ?? '{}');
const managed = await startRedisServer({ ...options, log: () => {} });
process.stdout.write(`${managed.view().pid}\n`);
setInterval(() => {}, 1000);
