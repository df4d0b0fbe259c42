// The agentctl lines of the pages for operators: what stands in code blocks and in backquotes.
import { readdirSync, readFileSync } from 'node:fs';

/** The folder of the pages. */
export const docs = new URL('../../docs/', import.meta.url);

/** All pages: docs/*.md and the two READMEs, relative to docs/. */
export const pages = [...readdirSync(docs).filter((name) => name.endsWith('.md')), '../README.md', '../README.zh.md'];

/** The text of a page. */
export const textOf = (page: string) => readFileSync(new URL(page, docs), 'utf8');

/** The agentctl lines of a page, without comments, a continued line as one. */
export function linesOf(page: string): readonly string[] {
  const text = textOf(page);
  const blocks = [...text.matchAll(/^ {4,}(agentctl [^\n]*(?:\\\n[^\n]*)*)/gm)].map((match) => match[1] ?? '');
  const inline = [...text.replaceAll('\n', ' ').matchAll(/`(agentctl [a-z][^`]*)`/g)].map((match) => match[1] ?? '');
  return [...blocks, ...inline].map((line) => line.replaceAll(/\\\n\s*/g, '').replace(/\s+(#|>).*$/, ''));
}

/** The words of a line; a comma list in round brackets stays one. */
export const wordsOf = (line: string) => line.trim().split(/\s+(?![^(]*\))/);

/** With brackets, bars or dots it is a form, not a line that somebody types as it stands. */
export const isForm = (line: string) => /[[\]|\\…]|\.\.\./.test(line);
