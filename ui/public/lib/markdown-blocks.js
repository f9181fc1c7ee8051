// Markdown's block level: lines in, a tree out. Pure, and made for what models write: CommonMark's common part with
// GitHub's tables and task lists. Not supported on purpose: raw HTML (shown as text), indented code, setext headings
// (a line of dashes after a paragraph is a rule), reference links.

/** @typedef {'left' | 'center' | 'right' | ''} Align */
/** @typedef {{ checked: boolean | null, children: Block[] }} Item */
/**
 * @typedef {(
 *   | { type: 'heading', level: number, text: string }
 *   | { type: 'paragraph', text: string }
 *   | { type: 'code', lang: string, text: string }
 *   | { type: 'quote', children: Block[] }
 *   | { type: 'list', ordered: boolean, start: number, tight: boolean, items: Item[] }
 *   | { type: 'table', align: Align[], head: string[], rows: string[][] }
 *   | { type: 'rule' }
 * )} Block
 */
/** @typedef {{ block: Block, next: number }} Read `next` is the line after the block. */
/** @typedef {(lines: string[], at: number, depth: number) => Read | null} Reader */

const FENCE = /^\s*(`{3,}|~{3,})[ \t]*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*))?$/;
const RULE = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const MARKER = /^( *)([-*+]|\d{1,9}[.)])( +|$)(.*)$/;
const TASK = /^\[([ xX])\] +/;
const TABLE_RULE = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;

/** Deeper nesting than any answer has; beyond it, text stays text, so that no input can exhaust the stack. */
const DEEPEST = 12;

/** @type {readonly Reader[]} the first that takes the line wins; `readParagraph` takes every line */
const READERS = [readFence, readHeading, readRule, readQuote, readList, readTable, readParagraph];

/**
 * @param {string[]} lines
 * @param {number} [depth]
 * @returns {{ blocks: Block[], starts: number[] }} `starts[i]` is the line on which block i begins
 */
export function parseBlocks(lines, depth = 0) {
  /** @type {Block[]} */
  const blocks = [];
  /** @type {number[]} */
  const starts = [];
  let at = 0;
  while (at < lines.length) {
    if (isBlank(lines[at])) {
      at += 1;
      continue;
    }
    const read = firstRead(lines, at, depth);
    blocks.push(read.block);
    starts.push(at);
    at = read.next;
  }
  return { blocks, starts };
}

/** @param {string[]} lines @param {number} at @param {number} depth @returns {Read} */
function firstRead(lines, at, depth) {
  for (const reader of READERS) {
    const read = reader(lines, at, depth);
    if (read) return read;
  }
  throw new Error('unreachable: a paragraph takes every line');
}

/** @type {Reader} */
function readFence(lines, at) {
  const open = FENCE.exec(lines[at] ?? '');
  if (!open) return null;
  const [, fence = '', info = ''] = open;
  const indent = indentOf(lines[at] ?? '');
  const close = new RegExp(`^\\s*\\${fence[0]}{${fence.length},}[ \\t]*$`);
  let end = at + 1;
  while (end < lines.length && !close.test(lines[end] ?? '')) end += 1;
  const text = lines.slice(at + 1, end).map((line) => line.slice(Math.min(indent, indentOf(line))));
  return { block: { type: 'code', lang: info.trim().split(/\s/)[0] ?? '', text: text.join('\n') }, next: end + 1 };
}

/** @type {Reader} */
function readHeading(lines, at) {
  const match = HEADING.exec(lines[at] ?? '');
  if (!match) return null;
  const text = (match[2] ?? '').trim().replace(/(^|[ \t])#+$/, '').trim();
  return { block: { type: 'heading', level: (match[1] ?? '').length, text }, next: at + 1 };
}

/** @type {Reader} */
function readRule(lines, at) {
  return RULE.test(lines[at] ?? '') ? { block: { type: 'rule' }, next: at + 1 } : null;
}

/** @type {Reader} */
function readQuote(lines, at, depth) {
  if (depth >= DEEPEST || !QUOTE.test(lines[at] ?? '')) return null;
  let next = at;
  while (next < lines.length && QUOTE.test(lines[next] ?? '')) next += 1;
  const inner = lines.slice(at, next).map((line) => line.replace(QUOTE, ''));
  return { block: { type: 'quote', children: parseBlocks(inner, depth + 1).blocks }, next };
}

/** @type {Reader} */
function readList(lines, at, depth) {
  const first = markerOf(lines[at]);
  if (depth >= DEEPEST || !first) return null;
  /** @type {Item[]} */
  const items = [];
  let tight = true;
  let next = at;
  for (let marker = markerOf(lines[next]); marker && marker.kind === first.kind; marker = markerOf(lines[next])) {
    const item = readItem(lines, next, marker);
    items.push(toItem(item.lines, depth));
    tight &&= !item.loose;
    next = item.next;
    const following = skipBlank(lines, next);
    const sibling = markerOf(lines[following]);
    if (!sibling || sibling.kind !== first.kind || RULE.test(lines[following] ?? '')) break;
    tight &&= following === next;
    next = following;
  }
  return { block: { type: 'list', ordered: first.ordered, start: first.number, tight, items }, next };
}

/** @typedef {{ kind: string, ordered: boolean, number: number, indent: number, content: number, text: string }} Marker */

/** @param {string | undefined} line @returns {Marker | null} */
function markerOf(line) {
  const match = MARKER.exec((line ?? '').replace(/^[ \t]+/, (space) => space.replace(/\t/g, '    ')));
  if (!match) return null;
  const [, space = '', sign = '', gap = '', text = ''] = match;
  const ordered = sign.length > 1;
  const content = space.length + sign.length + (gap.length > 4 || !gap ? 1 : gap.length);
  return { kind: sign.slice(-1), ordered, number: ordered ? parseInt(sign, 10) : 1, indent: space.length, content, text };
}

/**
 * The lines of one item, without its indent. Nested lists count from two columns on, fewer than the rule asks for,
 * since models often indent so.
 * @param {string[]} lines @param {number} at @param {Marker} marker
 */
function readItem(lines, at, marker) {
  const inside = Math.min(marker.content, marker.indent + 2);
  const own = [marker.text];
  let loose = false;
  let next = at + 1;
  while (next < lines.length) {
    const line = (lines[next] ?? '').replace(/^\t+/, (tabs) => '    '.repeat(tabs.length));
    if (isBlank(line)) {
      const following = skipBlank(lines, next);
      const goesOn = following < lines.length && indentOf(lines[following] ?? '') >= inside;
      if (!goesOn) break;
      own.push(...Array(following - next).fill(''));
      loose = true;
      next = following;
      continue;
    }
    const indent = indentOf(line);
    if (indent < inside && (markerOf(line) || startsBlock(lines, next))) break;
    own.push(line.slice(Math.min(indent, marker.content)));
    next += 1;
  }
  return { lines: own, next, loose };
}

/** @param {string[]} lines @param {number} depth @returns {Item} */
function toItem(lines, depth) {
  const task = TASK.exec(lines[0] ?? '');
  const inner = task ? [(lines[0] ?? '').slice(task[0].length), ...lines.slice(1)] : lines;
  return { checked: task ? task[1] !== ' ' : null, children: parseBlocks(inner, depth + 1).blocks };
}

/** @type {Reader} */
function readTable(lines, at) {
  if (!isTableHead(lines, at)) return null;
  const head = cellsOf(lines[at] ?? '');
  const align = cellsOf(lines[at + 1] ?? '').map(alignOf);
  /** @type {string[][]} */
  const rows = [];
  let next = at + 2;
  while (next < lines.length && !isBlank(lines[next]) && !startsBlock(lines, next)) {
    const cells = cellsOf(lines[next] ?? '');
    rows.push(head.map((_, column) => cells[column] ?? ''));
    next += 1;
  }
  return { block: { type: 'table', align, head, rows }, next };
}

/** @param {string[]} lines @param {number} at */
function isTableHead(lines, at) {
  const head = lines[at] ?? '';
  const rule = lines[at + 1] ?? '';
  return head.includes('|') && TABLE_RULE.test(rule) && cellsOf(head).length === cellsOf(rule).length;
}

/** @param {string} line */
function cellsOf(line) {
  const inner = line.trim().replace(/^\|/, '').replace(/(?<!\\)\|$/, '');
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll('\\|', '|'));
}

/** @param {string} cell @returns {Align} */
function alignOf(cell) {
  if (cell.endsWith(':')) return cell.startsWith(':') ? 'center' : 'right';
  return cell.startsWith(':') ? 'left' : '';
}

/** @type {Reader} */
function readParagraph(lines, at) {
  let next = at + 1;
  while (next < lines.length && !isBlank(lines[next]) && !interrupts(lines, next)) next += 1;
  const text = lines.slice(at, next).map((line) => line.trim().replace(/\\$/, ''));
  return { block: { type: 'paragraph', text: text.join('\n') }, next };
}

/** A list interrupts a paragraph only where it cannot be a number or dash of running text. @type {(lines: string[], at: number) => boolean} */
function interrupts(lines, at) {
  const marker = markerOf(lines[at]);
  if (marker) return marker.text !== '' && (!marker.ordered || marker.number === 1);
  return startsBlock(lines, at) || isTableHead(lines, at);
}

/** @param {string[]} lines @param {number} at */
function startsBlock(lines, at) {
  const line = lines[at] ?? '';
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line);
}

/** @param {string[]} lines @param {number} at */
function skipBlank(lines, at) {
  let next = at;
  while (next < lines.length && isBlank(lines[next])) next += 1;
  return next;
}

/** @param {string | undefined} line */
function isBlank(line) {
  return (line ?? '').trim() === '';
}

/** @param {string} line */
function indentOf(line) {
  return line.length - line.trimStart().length;
}
