// Queues ten messages for a receiver that is not there, says so, and waits to be killed. Arguments: directory, URL.
import { openWebhooks } from '../../../src/drivers/webhook/sender.ts';
import { channelTo, noticeOf } from './kit.ts';

const [dir = '', url = ''] = process.argv.slice(2);
const webhooks = openWebhooks({ channels: [channelTo(url)], dir, runbooks: 'docs/runbooks.md', wallMs: Date.now, log: () => undefined });
for (let i = 0; i < 10; i++) webhooks.send(noticeOf(i));
process.stdout.write('queued\n');
setInterval(() => undefined, 1000);
