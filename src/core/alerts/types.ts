// The vocabulary of alerts: the facts they are judged by, what holds now, and what is sent.
import type { HistoryEntry } from '../io.ts';
import type { NodeId } from '../types.ts';

/** How bad. `critical`: users notice, or will with the next fault. */
export type Severity = 'info' | 'warning' | 'critical';

/** Language of a message. */
export type Language = 'en' | 'zh';

/** One node as the facts name it; the same words as a row of `agentctl status`. */
export type AlertNode = {
  readonly node: NodeId;
  readonly role: string;
  readonly assignedRole: string;
  readonly state: string;
  readonly ollama: string;
  readonly ollamaReason: string;
  readonly fence: string;
  readonly bytesBehind: number;
  readonly backoffMs: number;
  readonly vetoes: readonly string[];
};

/** What one node knows at one moment. Whatever is unknown is null or '' and fires nothing. */
export type AlertFacts = {
  readonly cluster: string;
  readonly asked: NodeId;
  readonly holder: NodeId | '';
  readonly mode: string;
  readonly splitBrain: boolean;
  /** '' = no virtual address. */
  readonly vip: string;
  readonly vipOwner: NodeId | '';
  readonly nodes: readonly AlertNode[];
  readonly redis: readonly { readonly server: string; readonly up: boolean; readonly lastError: string }[];
  readonly pausedBy: string;
  readonly reason: string;
  /** Where keepalived differs from the agent; '' = nowhere. */
  readonly keepalivedDiffers: string;
  /** Share of this host's memory in use, 0 to 1. */
  readonly memoryUsed: number | null;
  /** Median answer time of the local Ollama, ms. */
  readonly responseMs: number | null;
  /** Null on a node without a model store. */
  readonly store: { readonly blocked: string; readonly lost: string; readonly corruptBlobs: number } | null;
};

/** Thresholds from the configuration. */
export type AlertLimits = {
  readonly memoryMax: number;
  readonly responseMs: number;
  readonly lagMs: number;
  /** 0 = a message is never repeated. */
  readonly repeatMs: number;
  /** Names of alerts that are not sent. */
  readonly off: readonly string[];
};

/** Values for the texts. */
export type AlertArgs = Readonly<Record<string, string | number>>;

/** One condition that is true now. `subject`: the node or server it is about; '' = the cluster. */
export type Condition = { readonly name: string; readonly subject: string; readonly args: AlertArgs };

/** What is sent, in neutral form: each channel makes its own message of it. `key` is the same for the same thing from whichever node. */
export type Notice =
  | {
      readonly k: 'alert';
      readonly key: string;
      readonly cluster: string;
      readonly node: NodeId;
      readonly name: string;
      readonly subject: string;
      readonly severity: Severity;
      readonly state: 'firing' | 'resolved';
      readonly args: AlertArgs;
      /** Wall-clock ms at which it began, and at which this was written. */
      readonly sinceMs: number;
      readonly atMs: number;
    }
  | {
      readonly k: 'report';
      readonly key: string;
      readonly cluster: string;
      readonly node: NodeId;
      readonly severity: Severity;
      readonly entry: HistoryEntry;
      readonly atMs: number;
    }
  | {
      readonly k: 'test';
      readonly key: string;
      readonly cluster: string;
      readonly node: NodeId;
      readonly severity: Severity;
      readonly by: string;
      readonly atMs: number;
    };
