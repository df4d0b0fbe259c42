// What people read: every alert has its words in both languages, and a failover its report.
import { expect, test } from 'vitest';
import { messageOf } from '../../../src/core/alerts/message.ts';
import { reportOf } from '../../../src/core/alerts/report.ts';
import { alertRules } from '../../../src/core/alerts/rules.ts';
import { fill, wordsOf } from '../../../src/core/alerts/words.ts';

const wording = (language: 'en' | 'zh') => ({ language, runbooks: 'docs/runbooks.md', time: (ms: number) => `t${ms}` });
const entry = {
  epoch: 250,
  from: 'gpu1',
  to: 'gpu2',
  cause: 'expired',
  reason: 'gpu1 was silent',
  by: '',
  atMs: 5000,
  phasesMs: { waitMs: 2002.5, claimMs: 3, vipMs: 12.5, totalMs: 2018 },
};

test('every alert has its words in both languages, with the same values', () => {
  const names = alertRules.map((rule) => rule.name).sort();
  for (const language of ['en', 'zh'] as const) expect(Object.keys(wordsOf(language).alerts).sort()).toEqual(names);
  for (const name of names) {
    const values = (language: 'en' | 'zh') => [...(wordsOf(language).alerts[name]?.title ?? '').matchAll(/\{\w+\}/g)].map(String).sort();
    expect(values('zh'), name).toEqual(values('en'));
  }
  expect(Object.keys(wordsOf('zh').causes)).toEqual(Object.keys(wordsOf('en').causes));
});

test('values are cut and cannot break a line', () => {
  expect(fill('{a} {b} {c}', { a: 'x\ny', b: '' })).toBe('x y - -');
  expect(fill('{a}', { a: 'z'.repeat(900) })).toHaveLength(300);
});

test('the report of a failover names cause, timeline, who, how long, and what to check', () => {
  const notice = reportOf(entry, 'lab', 'gpu2', 5100);
  if (notice === null) throw new Error('no report');
  expect(notice).toMatchObject({ k: 'report', key: 'lab/failover/250', severity: 'critical' });
  expect(messageOf(notice, wording('en'))).toEqual({
    title: 'Failover: gpu2 is active, it was gpu1',
    severity: 'critical',
    resolved: false,
    lines: [
      { label: 'cluster', value: 'lab' },
      { label: 'cause', value: 'the active stopped renewing its lease (host, agent or network died); gpu1 was silent' },
      { label: 'since', value: 't5000' },
      { label: 'took', value: '2018 ms' },
      { label: 'timeline', value: '+0 ms waited (2002.5 ms) -> +2002.5 ms lease claimed (3 ms) -> +2005.5 ms address up (12.5 ms)' },
      { label: 'check', value: 'agentctl status; agentctl history' },
      { label: 'runbook', value: 'docs/runbooks.md#node-died' },
      { label: 'seen by', value: 'gpu2, t5100' },
    ],
  });
  expect(messageOf(notice, wording('zh')).title).toBe('故障切换：gpu2 成为主节点，此前为 gpu1');
});

test('the first claim of a cluster is no failover, a missed switchover is reported under its own key', () => {
  expect(reportOf({ ...entry, cause: 'first' }, 'lab', 'gpu2', 1)).toBe(null);
  expect(reportOf({ ...entry, cause: 'missed' }, 'lab', 'gpu2', 1)?.key).toBe('lab/failover/250/missed');
});
