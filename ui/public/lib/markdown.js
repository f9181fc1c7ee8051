// Markdown as DOM nodes, built one by one: no HTML string is ever parsed, so nothing in an answer can become code.

import { make } from './dom.js';
import { parseBlocks } from './markdown-blocks.js';
import { parseInline } from './markdown-inline.js';

/** @typedef {import('./markdown-blocks.js').Block} Block */
/** @typedef {import('./markdown-inline.js').Inline} Inline */
/** @typedef {{ copy: string, code: string, table: string }} Labels */

/**
 * Shows a growing text. What came before the last block cannot change any more, so it is drawn once and stays, with the
 * reader's selection in it; only the last block is drawn again, and an open code block only grows its text node.
 */
export class MarkdownView {
  #element;
  #labels;
  #text = '';
  /** Where the first block that may still change begins. */
  #settled = 0;
  /** @type {Element[]} */
  #open = [];

  /** @param {Element} element @param {Labels} labels */
  constructor(element, labels) {
    this.#element = element;
    this.#labels = labels;
  }

  /**
   * Show `text`, which is what was shown before and more. Give back the plain text of the blocks that became final.
   * @param {string} text
   * @returns {string[]}
   */
  update(text) {
    if (text === this.#text) return [];
    this.#text = text;
    const { blocks, starts, lengths } = this.#parseRest();
    const final = finalCount(starts, lengths.length);
    const drawn = this.#draw(blocks);
    this.#open = drawn.slice(final);
    for (const length of lengths.slice(0, starts[final] ?? 0)) this.#settled += length;
    return drawn.slice(0, final).map((element) => element.textContent ?? '');
  }

  /** The plain text of what is still open: the end of a finished answer. */
  get tail() {
    return this.#open.map((element) => element.textContent ?? '').join('\n');
  }

  #parseRest() {
    const lines = this.#text.slice(this.#settled).split('\n');
    const lengths = lines.map((line) => line.length + 1);
    return { ...parseBlocks(lines.map((line) => line.replace(/\r$/, ''))), lengths };
  }

  /** Replace the open blocks by `blocks`. @param {Block[]} blocks */
  #draw(blocks) {
    const [first] = blocks;
    const [open] = this.#open;
    const kept = first && open && growCode(open, first) ? [open] : [];
    for (const element of this.#open.slice(kept.length)) element.remove();
    const fresh = blocks.slice(kept.length).map((block) => drawBlock(block, this.#labels));
    this.#element.append(...fresh);
    return [...kept, ...fresh];
  }
}

/**
 * A block is final once a later one has begun on a line that is complete: a lone `-` may yet become anything.
 * @param {number[]} starts @param {number} lineCount
 */
function finalCount(starts, lineCount) {
  const lastIsComplete = (starts.at(-1) ?? 0) < lineCount - 1;
  return Math.max(0, starts.length - (lastIsComplete ? 1 : 2));
}

/** Append what is new to a code block that is already on the page; false when it is not one. @param {Element} element @param {Block} block */
function growCode(element, block) {
  if (block.type !== 'code' || element.getAttribute('data-lang') !== block.lang) return false;
  const text = element.querySelector('code')?.firstChild;
  if (!(text instanceof Text) || !block.text.startsWith(text.data)) return false;
  text.appendData(block.text.slice(text.length));
  return true;
}

/** @param {Block} block @param {Labels} labels @returns {Element} */
function drawBlock(block, labels) {
  switch (block.type) {
    case 'heading':
      // The page's own headings are h1 and h2; an answer's start below them.
      return withInline(make(/** @type {'h3'} */ (`h${Math.min(6, block.level + 2)}`), `h${block.level}`), block.text);
    case 'paragraph':
      return withInline(make('p', ''), block.text);
    case 'code':
      return drawCode(block, labels);
    case 'quote':
      return withChildren(make('blockquote', ''), block.children, labels);
    case 'list':
      return drawList(block, labels);
    case 'table':
      return drawTable(block, labels);
    case 'rule':
      return make('hr', '');
  }
}

/** @param {Block & { type: 'code' }} block @param {Labels} labels */
function drawCode(block, labels) {
  const box = make('div', 'code');
  box.dataset.lang = block.lang;
  const head = make('div', 'code-head');
  const copy = make('button', 'text-button', labels.copy);
  copy.type = 'button';
  copy.dataset.action = 'copy-code';
  head.append(make('span', '', block.lang), copy);
  const pre = make('pre', '');
  pre.tabIndex = 0;
  pre.setAttribute('role', 'region');
  pre.setAttribute('aria-label', labels.code);
  const code = make('code', '');
  code.append(document.createTextNode(block.text));
  pre.append(code);
  box.append(head, pre);
  return box;
}

/** @param {Block & { type: 'list' }} block @param {Labels} labels */
function drawList(block, labels) {
  const list = block.ordered ? make('ol', '') : make('ul', '');
  if (list instanceof HTMLOListElement && block.start !== 1) list.start = block.start;
  for (const item of block.items) {
    const row = make('li', item.checked === null ? '' : 'task');
    if (item.checked !== null) row.append(drawCheck(item.checked));
    for (const child of item.children) {
      if (block.tight && child.type === 'paragraph') row.append(...drawInline(parseInline(child.text)));
      else row.append(drawBlock(child, labels));
    }
    list.append(row);
  }
  return list;
}

/** @param {boolean} checked */
function drawCheck(checked) {
  const box = make('input', '');
  box.type = 'checkbox';
  box.checked = checked;
  box.disabled = true;
  return box;
}

/** @param {Block & { type: 'table' }} block @param {Labels} labels */
function drawTable(block, labels) {
  const scroll = make('div', 'table-scroll');
  scroll.tabIndex = 0;
  scroll.setAttribute('role', 'region');
  scroll.setAttribute('aria-label', labels.table);
  const table = make('table', '');
  const cellsOf = (/** @type {string[]} */ cells, /** @type {'td' | 'th'} */ tag) =>
    cells.map((cell, column) => withInline(make(tag, block.align[column] ?? ''), cell));
  table.createTHead().insertRow().append(...cellsOf(block.head, 'th'));
  const body = table.createTBody();
  for (const row of block.rows) body.insertRow().append(...cellsOf(row, 'td'));
  scroll.append(table);
  return scroll;
}

/** @template {Element} E @param {E} element @param {string} text @returns {E} */
function withInline(element, text) {
  element.append(...drawInline(parseInline(text)));
  return element;
}

/** @template {Element} E @param {E} element @param {Block[]} blocks @param {Labels} labels @returns {E} */
function withChildren(element, blocks, labels) {
  element.append(...blocks.map((block) => drawBlock(block, labels)));
  return element;
}

/** @param {Inline[]} nodes @returns {Node[]} */
function drawInline(nodes) {
  return nodes.map((node) => {
    switch (node.type) {
      case 'text':
        return document.createTextNode(node.text);
      case 'break':
        return make('br', '');
      case 'code':
        return make('code', '', node.text);
      case 'link':
        return drawLink(node);
      default: {
        const element = make(node.type, '');
        element.append(...drawInline(node.children));
        return element;
      }
    }
  });
}

/** @param {Inline & { type: 'link' }} node */
function drawLink(node) {
  const anchor = make('a', '');
  anchor.href = node.href;
  anchor.target = '_blank';
  anchor.rel = 'noopener noreferrer nofollow';
  anchor.append(...drawInline(node.children));
  return anchor;
}
