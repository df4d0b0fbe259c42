// One suite, three servers: what holds for the simulator's model holds for the real ones.
import { describeRedisContract } from './redis-contract.ts';
import { openManaged, openModel, openPlain } from './subjects.ts';

describeRedisContract("the simulator's model", openModel, { admin: true });
describeRedisContract('a redis-server with the minimal user', openPlain, { admin: true });
describeRedisContract('a managed redis-server over TLS', openManaged, { admin: false });
