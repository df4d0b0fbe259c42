// Stand-in for a served application: answers every GET with the name of its host. Usage: node main.ts NAME PORT
import { createServer } from 'node:http';

const [name = '', port = ''] = process.argv.slice(2);
createServer((_, response) => {
  response.setHeader('x-lab-node', name);
  response.end(JSON.stringify({ version: '0.0.0', node: name }));
}).listen(Number(port), '0.0.0.0');
