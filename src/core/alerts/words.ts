// The words of every message, English and Chinese. `{name}` is filled from the values of the alert; an empty value leaves nothing behind.
import type { Language } from './types.ts';

/** Title and one line of what to do, by alert. */
export type AlertWords = { readonly title: string; readonly check: string };

/** Everything a message says that is not a value. */
export type Words = {
  readonly alerts: Readonly<Record<string, AlertWords>>;
  readonly severity: Readonly<Record<'info' | 'warning' | 'critical', string>>;
  readonly resolved: string;
  readonly labels: Readonly<
    Record<'cluster' | 'since' | 'lasted' | 'check' | 'runbook' | 'sentBy' | 'cause' | 'by' | 'total' | 'timeline', string>
  >;
  readonly causes: Readonly<Record<string, string>>;
  readonly phases: Readonly<Record<string, string>>;
  readonly moved: string;
  readonly again: string;
  readonly missed: string;
  readonly nobody: string;
  readonly test: string;
};

const en: Words = {
  alerts: {
    split_brain_suspected: { title: 'Split brain suspected: two machines answer for {vip}', check: 'agentctl status --all' },
    no_leader: { title: 'No node is active', check: 'agentctl status; {reason}' },
    no_redis: { title: 'No majority of the lease servers answers ({up} of {servers})', check: 'agentctl redis status' },
    failsafe: {
      title: 'Redis is down, {holder} goes on by the consent of every member',
      check: 'agentctl redis status; any further fault ends the service',
    },
    vip_elsewhere: { title: '{vip} is answered by {owner}, but {holder} holds the lease', check: 'agentctl status --all' },
    ollama_down: { title: 'Ollama is down on {subject}: {reason}', check: 'systemctl status ollama; journalctl -u ollama' },
    scrub_corrupt: {
      title: '{blobs} corrupt blobs were found on {subject}',
      check: 'agentctl verify --repair on that node; check the disk',
    },
    agent_down: { title: 'The agent or host {subject} is gone', check: 'is the host up? systemctl status ollama-ha-agent' },
    no_standby: { title: 'No standby can take over: {why}', check: 'agentctl explain NODE' },
    no_better_node: { title: '{holder} should give the role up, but no node is better', check: 'agentctl status' },
    fence_missing: { title: 'The kernel fence is missing on {subject}', check: 'agentctl doctor on that node; is nftables there?' },
    ollama_degraded: { title: 'Ollama is degraded on {subject}: {reason}', check: 'agentctl explain {subject}' },
    redis_down: { title: 'The lease server {subject} does not answer: {error}', check: 'agentctl redis status' },
    flapping: { title: '{subject} lost the role too often, it stands back for {seconds} s', check: 'agentctl history' },
    replication_lag: {
      title: '{subject} has been behind for long, now by {megabytes} MB',
      check: 'agentctl replication status on that node',
    },
    replication_blocked: { title: 'Copying to {subject} is blocked: {reason}', check: 'agentctl replication status on that node' },
    models_lost: { title: '{subject} follows no deletion: {reason}', check: 'agentctl replication accept-deletes, if the loss is meant' },
    keepalived_differs: { title: 'keepalived on {subject} differs from the agent: {reason}', check: 'agentctl keepalived check' },
    response_slow: {
      title: 'Ollama on {subject} answers in {ms} ms (limit {limit} ms)',
      check: 'load of the host, number of models loaded',
    },
    memory_high: {
      title: '{subject} uses {percent} % of its memory (limit {limit} %)',
      check: 'models loaded: curl 127.0.0.1:11434/api/ps',
    },
    paused: { title: 'The cluster has been paused for an hour, by {by}', check: 'agentctl resume' },
  },
  severity: { info: 'info', warning: 'warning', critical: 'critical' },
  resolved: 'resolved',
  labels: {
    cluster: 'cluster',
    since: 'since',
    lasted: 'lasted',
    check: 'check',
    runbook: 'runbook',
    sentBy: 'seen by',
    cause: 'cause',
    by: 'ordered by',
    total: 'took',
    timeline: 'timeline',
  },
  causes: {
    planned: 'planned switchover',
    forced: 'claim by order',
    missed: 'a planned switchover was not carried out',
    expired: 'the active stopped renewing its lease (host, agent or network died)',
    released: 'the lease was released (the agent or its stop hook)',
    ollama: 'Ollama on the active was down',
    fence: 'the active lost its kernel fence',
    redis: 'the active was cut from Redis',
    stop: 'the agent of the active was stopped',
    vip: 'the active could not hold the address',
    clock: 'the clocks of the active went wrong',
  },
  phases: { revokeMs: 'address taken off', releaseMs: 'lease released', waitMs: 'waited', claimMs: 'lease claimed', vipMs: 'address up' },
  moved: 'Failover: {to} is active, it was {from}',
  again: 'Failover: {to} is active again',
  missed: 'A planned switchover was missed',
  nobody: 'nobody',
  test: 'Test message, asked for by {by}',
};

const zh: Words = {
  alerts: {
    split_brain_suspected: { title: '疑似脑裂：有两台机器响应 {vip}', check: 'agentctl status --all' },
    no_leader: { title: '集群没有主节点', check: 'agentctl status；{reason}' },
    no_redis: { title: '租约服务器未达到多数（{servers} 台中 {up} 台可用）', check: 'agentctl redis status' },
    failsafe: { title: 'Redis 不可用，{holder} 经全体成员同意继续服务', check: 'agentctl redis status；再出一个故障服务就会中断' },
    vip_elsewhere: { title: '{vip} 由 {owner} 响应，但租约在 {holder}', check: 'agentctl status --all' },
    ollama_down: { title: '{subject} 上的 Ollama 不可用：{reason}', check: 'systemctl status ollama；journalctl -u ollama' },
    scrub_corrupt: { title: '{subject} 上发现 {blobs} 个损坏的 blob', check: '在该节点运行 agentctl verify --repair，并检查磁盘' },
    agent_down: { title: '{subject} 的 agent 或主机失联', check: '主机是否在线？systemctl status ollama-ha-agent' },
    no_standby: { title: '没有可接管的备节点：{why}', check: 'agentctl explain 节点' },
    no_better_node: { title: '{holder} 应当交出角色，但没有更好的节点', check: 'agentctl status' },
    fence_missing: { title: '{subject} 上缺少内核围栏', check: '在该节点运行 agentctl doctor；nftables 是否可用？' },
    ollama_degraded: { title: '{subject} 上的 Ollama 状态下降：{reason}', check: 'agentctl explain {subject}' },
    redis_down: { title: '租约服务器 {subject} 无响应：{error}', check: 'agentctl redis status' },
    flapping: { title: '{subject} 频繁失去角色，退避 {seconds} 秒', check: 'agentctl history' },
    replication_lag: { title: '{subject} 长时间落后，目前落后 {megabytes} MB', check: '在该节点运行 agentctl replication status' },
    replication_blocked: { title: '到 {subject} 的复制被阻止：{reason}', check: '在该节点运行 agentctl replication status' },
    models_lost: { title: '{subject} 暂不跟随删除：{reason}', check: '若删除属实：agentctl replication accept-deletes' },
    keepalived_differs: { title: '{subject} 上 keepalived 与 agent 不一致：{reason}', check: 'agentctl keepalived check' },
    response_slow: { title: '{subject} 上的 Ollama 响应时间 {ms} 毫秒（上限 {limit} 毫秒）', check: '检查主机负载和已加载的模型数量' },
    memory_high: { title: '{subject} 内存使用率 {percent}%（上限 {limit}%）', check: '已加载的模型：curl 127.0.0.1:11434/api/ps' },
    paused: { title: '集群已暂停一小时，操作人 {by}', check: 'agentctl resume' },
  },
  severity: { info: '信息', warning: '警告', critical: '严重' },
  resolved: '已恢复',
  labels: {
    cluster: '集群',
    since: '开始时间',
    lasted: '持续',
    check: '排查',
    runbook: '手册',
    sentBy: '报告节点',
    cause: '原因',
    by: '操作人',
    total: '耗时',
    timeline: '时间线',
  },
  causes: {
    planned: '计划内切换',
    forced: '按指令强制接管',
    missed: '计划的切换未能执行',
    expired: '主节点停止续约（主机、agent 或网络故障）',
    released: '租约被释放（agent 或其停止钩子）',
    ollama: '主节点上的 Ollama 不可用',
    fence: '主节点失去内核围栏',
    redis: '主节点与 Redis 断开',
    stop: '主节点的 agent 被停止',
    vip: '主节点无法持有虚拟地址',
    clock: '主节点的时钟异常',
  },
  phases: { revokeMs: '撤下虚拟地址', releaseMs: '释放租约', waitMs: '等待', claimMs: '获取租约', vipMs: '虚拟地址生效' },
  moved: '故障切换：{to} 成为主节点，此前为 {from}',
  again: '故障切换：{to} 重新成为主节点',
  missed: '计划的切换未能执行',
  nobody: '无',
  test: '测试消息，操作人 {by}',
};

/** The words of a language. */
export function wordsOf(language: Language): Words {
  return language === 'zh' ? zh : en;
}

/** Fills `{name}` from the values; what is not there becomes `-`. */
export function fill(text: string, args: Readonly<Record<string, string | number>>): string {
  return text.replace(/\{([a-zA-Z]+)\}/g, (_all, name: string) => {
    const value = String(args[name] ?? '').replace(/\p{Cc}/gu, ' ');
    return value === '' ? '-' : value.slice(0, 300);
  });
}
