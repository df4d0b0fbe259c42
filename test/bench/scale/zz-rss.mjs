import { readFileSync } from 'node:fs';
const r=()=>{const t=readFileSync('/proc/self/status','utf8');return ['VmRSS','RssAnon','RssFile'].map(k=>(Number(new RegExp(k+':\\s+(\\d+)').exec(t)[1])/1024).toFixed(1)).join(' ')};
console.log('base', r());
for (const m of process.argv.slice(2)) { await import(m); globalThis.gc?.(); console.log(m, r(), 'heap', (process.memoryUsage().heapUsed/1e6).toFixed(1)); }
