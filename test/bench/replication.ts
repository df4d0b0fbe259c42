// `make bench-replication`: copies a blob, and a model of many small blobs, from one network namespace to another, against rsync in the same run,
// then to four standbys at once over slow links. Asserts nothing: it prints a table with the targets, and writes JSON. Needs root.
// Environment: RUNS (5), SIZE_MIB (2048), BLOBS (2000), FANOUT_MIB (512), LINK_MBIT (500, of each host in the fan-out), REPORT (FILE), and
// CASES (large,small,fanout): with fewer, only those are measured and printed, and there is no report.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAuthority } from '../contract/transfer/certs.ts';
import { fanout, type Member, oursLarge, oursMany, rsyncLarge, rsyncMany, socketOnly } from './replication/cases.ts';
import { buildHosts, type Hosts, serveRsync, shape } from './replication/hosts.ts';
import { type Large, type Many, makeLarge, makeMany } from './replication/material.ts';
import { type LargeSample, printTable, reportOf, type Samples, type SmallSample, type Times } from './replication/report.ts';

const MIB = 1024 * 1024;
const STANDBYS = 4;

const CASES = ['large', 'small', 'fanout'] as const;

type Case = (typeof CASES)[number];
type Plan = {
  readonly runs: number;
  readonly cases: readonly Case[];
  readonly sizeMiB: number;
  readonly blobs: number;
  readonly fanoutMiB: number;
  readonly linkMbit: number;
};

function numberOf(name: string, fallback: number): number {
  const number = Number(process.env[name] || fallback);
  if (!Number.isInteger(number) || number < 1) throw new Error(`${name}=${process.env[name]}: use a whole number from 1 on`);
  return number;
}

function casesOf(text: string | undefined): readonly Case[] {
  if (!text) return CASES;
  return text.split(',').map((name) => {
    const found = CASES.find((one) => one === name);
    if (found === undefined) throw new Error(`CASES=${text}: use some of ${CASES.join(',')}`);
    return found;
  });
}

async function membersOf(hosts: Hosts): Promise<readonly Member[]> {
  const authority = await createAuthority();
  return Promise.all(hosts.hosts.map(async (host) => ({ host, tls: await authority.issue([`${host.name}.lab.ollama-ha`]) })));
}

type Pair = { readonly from: Member; readonly to: Member; readonly dir: string };

async function pairs(plan: Plan): Promise<{ readonly large: readonly LargeSample[]; readonly small: readonly SmallSample[] }> {
  const [large, small]: [LargeSample[], SmallSample[]] = [[], []];
  if (!plan.cases.includes('large') && !plan.cases.includes('small')) return { large, small };
  using hosts = await buildHosts(2);
  const [from, to] = await membersOf(hosts);
  if (from === undefined || to === undefined) throw new Error('no hosts');
  const { dir } = hosts;
  const pair = { from, to, dir };
  const blob = plan.cases.includes('large') ? makeLarge(join(dir, 'large'), plan.sizeMiB) : null;
  const model = plan.cases.includes('small') ? makeMany(join(dir, 'many'), plan.blobs) : null;
  await serveRsync(from.host, dir, { large: join(dir, 'large/blobs'), many: join(dir, 'many/blobs') });
  for (let run = 1; run <= plan.runs; run += 1) {
    if (blob !== null) large.push(await largeRun(pair, blob));
    if (model !== null) small.push(await smallRun(pair, model));
    process.stderr.write(`run ${run} of ${plan.runs}\n`);
  }
  return { large, small };
}

async function largeRun({ from, to, dir }: Pair, large: Large): Promise<LargeSample> {
  const miBs = (seconds: number) => large.sizeBytes / MIB / seconds;
  const rsync = async (...options: string[]) => miBs(await rsyncLarge(from.host, to.host, options, dir));
  const ours = (plain: boolean, sync: boolean) => oursLarge(from, to, large, { plain, sync }, dir);
  const sample = {
    rsyncA: await rsync('-a', '--fsync'),
    plain: await ours(true, true),
    tls: await ours(false, true),
    rsyncAvz: await rsync('-avz', '--fsync'),
    rsyncANoSync: await rsync('-a'),
    plainNoSync: await ours(true, false),
    tlsNoSync: await ours(false, false),
    scrubMiBs: await to.host.ask({ k: 'scrub', file: large.file }),
    limits: await to.host.ask({ k: 'limits', from: large.file, to: join(dir, 'to', 'copy') }),
    socketMiBs: await socketOnly(from.host, to.host, large.sizeBytes),
  };
  return { ...sample, miBs };
}

async function smallRun({ from, to, dir }: Pair, many: Many): Promise<SmallSample> {
  return {
    rsyncSeconds: await rsyncMany(from.host, to.host, ['-a', '--fsync'], dir),
    ours: await oursMany(from, to, many, dir),
    rsyncNoSyncSeconds: await rsyncMany(from.host, to.host, ['-a'], dir),
  };
}

async function fanouts(plan: Plan): Promise<Times> {
  if (!plan.cases.includes('fanout')) return [];
  using hosts = await buildHosts(1 + STANDBYS);
  const members = await membersOf(hosts);
  const large = makeLarge(join(hosts.dir, 'large'), plan.fanoutMiB);
  for (const { host } of members) await shape(hosts.id, host, plan.linkMbit * 1e6);
  mkdirSync(join(hosts.dir, 'to'), { recursive: true });
  const times: (readonly [number, number])[] = [];
  for (let run = 1; run <= plan.runs; run += 1) {
    times.push([await fanout(members, 1, large, hosts.dir), await fanout(members, STANDBYS, large, hosts.dir)]);
    process.stderr.write(
      `fan-out ${run} of ${plan.runs}: ${times
        .at(-1)
        ?.map((s) => s.toFixed(1))
        .join(' s, four ')} s\n`,
    );
  }
  return times;
}

const plan: Plan = {
  runs: numberOf('RUNS', 5),
  cases: casesOf(process.env.CASES),
  sizeMiB: numberOf('SIZE_MIB', 2048),
  blobs: numberOf('BLOBS', 2000),
  fanoutMiB: numberOf('FANOUT_MIB', 512),
  linkMbit: numberOf('LINK_MBIT', 500),
};
if (process.env.REPORT && plan.cases.length < CASES.length) throw new Error('REPORT needs every case: leave CASES unset');
const samples: Samples = { ...(await pairs(plan)), fanout: await fanouts(plan), blobs: plan.blobs };
printTable(samples);
if (process.env.REPORT) writeFileSync(process.env.REPORT, `${JSON.stringify(reportOf(samples), null, 2)}\n`);
