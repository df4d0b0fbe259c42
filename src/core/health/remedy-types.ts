// Remedies: what may be done about a trouble, by whom it was allowed, and what is ordered.

/** The remedies, each off unless the configuration turns it on. */
export const REMEDIES = ['unloadBlocker', 'killRunner', 'healCache', 'restartOllama'] as const;
export type RemedyName = (typeof REMEDIES)[number];

/** Limits of one remedy. */
export type RemedyLimit = { readonly enabled: boolean; readonly perHourMax: number; readonly coolDownMs: number };

/** What is allowed. */
export type RemedyConfig = Readonly<Record<RemedyName, RemedyLimit>>;

/** An order to the driver. `id` pairs it with its `remedied` evidence; a new id is a new order. */
export type RemedyOrder = { readonly id: number; readonly why: string } & (
  | { readonly k: 'unloadBlocker'; readonly model: string }
  /** The pid is killed only while it is this very process and a runner of this Ollama. */
  | { readonly k: 'killRunner'; readonly pid: number; readonly startedAt: number }
  /** Makes Ollama read anew what the model can do. */
  | { readonly k: 'healCache'; readonly model: string }
  | { readonly k: 'restartOllama' }
);
