// The `nginx` section: an upstream file rendered from roles and health.
import { z } from 'zod';

const file = z
  .string()
  .max(4096)
  .regex(/^\/[^\0]*$/, { error: 'must be an absolute path' });

/** Its presence makes this host a balancer. */
export const nginxSchema = z.strictObject({
  file: file.default('/etc/nginx/ollama-ha/upstream.conf').describe('The upstream file, included by the configuration of nginx.'),
  upstream: z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/, { error: 'must be letters, digits, _ and -' })
    .default('ollama_ha')
    .describe('Name of the upstream.'),
  port: z.int().min(1).max(65535).default(11434).describe("Ollama's port, the same on every node."),
  policy: z
    .enum(['active-standby', 'weighted'])
    .default('active-standby')
    .describe('active-standby: the active node serves, the others are backups. weighted: every fit node with all models serves.'),
  weights: z
    .record(z.string().regex(/^[a-z0-9-]{1,63}$/, { error: 'must be a node id' }), z.int().min(0).max(100))
    .default({})
    .describe('Weights by node id for `weighted`, such as {gpu1: 3, gpu2: 2}; 1 where none is given, 0 = only a backup.'),
  program: file.default('/usr/sbin/nginx').describe('The nginx program.'),
  config: file.optional().describe('Its main configuration file. Default: the one built into nginx.'),
});
