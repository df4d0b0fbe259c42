// The `alerts` section: what is worth a message, and the channels that carry it.
import { z } from 'zod';

const file = z
  .string()
  .max(4096)
  .regex(/^\/[^\0]*$/, { error: 'must be an absolute path' });

const channel = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/, { error: 'must be small letters, digits and inner hyphens, at most 32' })
      .describe('Name of the channel, unique.'),
    kind: z.enum(['json', 'slack', 'dingtalk', 'feishu', 'wecom']).describe('Form of the message; json is for programs of your own.'),
    urlFile: file.optional().describe('File with the URL of the webhook, not readable by others: such a URL is a password.'),
    url: z
      .url({ protocol: /^https?$/, error: 'must be a URL that starts with http:// or https://' })
      .max(2048)
      .optional()
      .describe('The URL itself, where it holds no secret. One of `urlFile` and `url` is required.'),
    secretFile: file
      .optional()
      .describe('File with the signing key: of the bot (dingtalk, feishu), or for the header `x-ollama-ha-signature` (json).'),
    language: z.enum(['en', 'zh']).optional().describe('Default: `alerts.language`.'),
    minSeverity: z.enum(['info', 'warning', 'critical']).default('info').describe('Less severe messages do not go here.'),
    perMinuteMax: z.int().min(1).max(600).default(15).describe('Messages per minute at most; the others wait.'),
  })
  .refine((one) => (one.url === undefined) !== (one.urlFile === undefined), { error: 'needs either urlFile or url' })
  .refine((one) => one.secretFile === undefined || ['json', 'dingtalk', 'feishu'].includes(one.kind), {
    error: 'secretFile is for the kinds json, dingtalk and feishu',
  });

/** Without the section nothing is sent; `agentctl alerts list` shows the conditions all the same. */
export const alertsSchema = z.strictObject({
  language: z.enum(['en', 'zh']).default('en').describe('Language of the messages: English or Chinese.'),
  channels: z
    .array(channel)
    .max(16)
    .refine((list) => new Set(list.map((one) => one.name)).size === list.length, { error: 'two channels have one name' })
    .default([])
    .describe('Where messages go.'),
  off: z.array(z.string().max(64)).max(64).default([]).describe('Alerts that are not sent, by name (docs/alerts.md).'),
  memoryMax: z.number().min(0.1).max(1).default(0.8).describe('Share of memory in use above which `memory_high` fires.'),
  responseMs: z.int().min(10).max(60_000).default(1000).describe('Answer time of Ollama above which `response_slow` fires.'),
  lagMs: z
    .int()
    .min(1000)
    .max(7 * 86_400_000)
    .default(900_000)
    .describe('A standby that is behind for longer fires `replication_lag`.'),
  repeatMs: z
    .int()
    .min(0)
    .max(30 * 86_400_000)
    .default(14_400_000)
    .describe('An alert that still holds is sent again after this time; 0 = never.'),
  runbooks: z
    .string()
    .max(1024)
    .default('docs/runbooks.md')
    .describe('Page with the runbooks, a URL or a file; messages link to its sections.'),
});
