// Markdown's inline level: text in, a tree out. Pure. Emphasis may close before any letter (CommonMark asks for space
// or punctuation there), or Korean bold text with a particle after it, `**"값"**은`, would show its asterisks.

/**
 * @typedef {(
 *   | { type: 'text', text: string }
 *   | { type: 'code', text: string }
 *   | { type: 'break' }
 *   | { type: 'strong' | 'em' | 'del', children: Inline[] }
 *   | { type: 'link', href: string, children: Inline[] }
 * )} Inline
 */
/** @typedef {{ type: 'mark', sign: string, count: number, opens: boolean, closes: boolean }} Mark */

const PLAIN = /[^\\`*_~[\]!<\n$h]+|h/y;
const ESCAPE = /\\([!-/:-@[-`{-~])/y;
const MATH = /\\\(([^]{1,2000}?)\\\)|\\\[([^]{1,2000}?)\\\]|\$\$([^]{1,2000}?)\$\$/y;
const TICKS = /`+/y;
const MARKS = /\*+|_+|~~/y;
const LINK = /!?\[((?:[^[\]\\]|\\.|\[[^[\]]{0,200}\]){0,1000})\]\(\s*(?:<([^<>\n]{1,2000})>|((?:[^\s()\\]|\\.|\([^\s()]{0,500}\)){0,2000}))(?:\s+(?:"[^"]{0,500}"|'[^']{0,500}'))?\s*\)/y;
const AUTOLINK = /<((?:https?:\/\/|mailto:)[^\s<>]{1,2000})>/y;
const BARE_LINK = /https?:\/\/[^\s<>`"\u3000-\u303f]{1,2000}/y;
const BREAK = /\n|<br\s*\/?>/iy;

/** How far back a closing mark looks for its opener: bounds the work on hostile input. */
const LOOK_BACK = 200;

/**
 * @param {string} text
 * @param {boolean} [inLink] a link's own text holds no further links
 * @returns {Inline[]}
 */
export function parseInline(text, inLink = false) {
  /** @type {(Inline | Mark)[]} */
  const nodes = [];
  let at = 0;
  while (at < text.length) at = step(text, at, nodes, inLink);
  return pairMarks(nodes);
}

/**
 * Read one piece at `at`, push it, give back where the next begins.
 * @param {string} text @param {number} at @param {(Inline | Mark)[]} nodes @param {boolean} inLink
 */
function step(text, at, nodes, inLink) {
  /** @param {RegExp} pattern */
  const match = (pattern) => {
    pattern.lastIndex = at;
    return pattern.exec(text);
  };
  let found = !inLink && wordStart(text, at) ? match(BARE_LINK) : null;
  if (found) return at + pushBareLink(found[0], nodes);
  if ((found = match(PLAIN))) pushText(nodes, found[0]);
  else if ((found = match(BREAK))) nodes.push({ type: 'break' });
  else if ((found = match(MATH))) nodes.push({ type: 'code', text: found[0] });
  else if ((found = match(ESCAPE))) pushText(nodes, found[1] ?? '');
  else if ((found = match(TICKS))) return pushCode(text, at, found[0], nodes);
  else if (!inLink && (found = match(LINK))) pushLink(found, nodes);
  else if (!inLink && (found = match(AUTOLINK))) nodes.push(link(found[1] ?? '', [{ type: 'text', text: found[1] ?? '' }]));
  else if ((found = match(MARKS))) nodes.push(mark(text, at, found[0]));
  else pushText(nodes, text[at] ?? '');
  return at + (found ? found[0].length : 1);
}

/** @param {(Inline | Mark)[]} nodes @param {string} text */
function pushText(nodes, text) {
  const last = nodes.at(-1);
  if (last?.type === 'text') last.text += text;
  else nodes.push({ type: 'text', text });
}

/** @param {string} text @param {number} at @param {string} ticks @param {(Inline | Mark)[]} nodes */
function pushCode(text, at, ticks, nodes) {
  const close = new RegExp(`(?<!\`)\`{${ticks.length}}(?!\`)`, 'g');
  close.lastIndex = at + ticks.length;
  const end = close.exec(text);
  if (!end) {
    pushText(nodes, ticks);
    return at + ticks.length;
  }
  const inner = text.slice(at + ticks.length, end.index).replace(/\n/g, ' ');
  const padded = inner.startsWith(' ') && inner.endsWith(' ') && inner.trim() !== '';
  nodes.push({ type: 'code', text: padded ? inner.slice(1, -1) : inner });
  return end.index + ticks.length;
}

/** An image becomes a link to it: the page loads nothing from elsewhere. @param {RegExpExecArray} found @param {(Inline | Mark)[]} nodes */
function pushLink(found, nodes) {
  const [whole, label = '', angled, plain = ''] = found;
  const href = (angled ?? plain).replace(/\\([!-/:-@[-`{-~])/g, '$1');
  if (isSafeLink(href)) nodes.push(link(href, parseInline(label || href, true)));
  else pushText(nodes, whole);
}

/** @param {string} found @param {(Inline | Mark)[]} nodes */
function pushBareLink(found, nodes) {
  let url = found.replace(/(?:[.,;:!?'*_~)\]]|[가-힣]+)+$/, '');
  if (found[url.length] === ')' && url.includes('(')) url += ')';
  if (isSafeLink(url)) nodes.push(link(url, [{ type: 'text', text: url }]));
  else pushText(nodes, url);
  return url.length;
}

/** @param {string} href @param {Inline[]} children @returns {Inline} */
function link(href, children) {
  return { type: 'link', href, children };
}

/**
 * Only absolute web and mail addresses: no scripts, no data, nothing that acts on this page's own origin by itself.
 * @param {string} href
 */
export function isSafeLink(href) {
  return /^(?:https?:\/\/[^/]|mailto:.)/i.test(href) && URL.canParse(href);
}

/** @param {string} text @param {number} at */
function wordStart(text, at) {
  return text[at] === 'h' && !/\w/.test(text[at - 1] ?? '');
}

/** @param {string} text @param {number} at @param {string} run @returns {Mark} */
function mark(text, at, run) {
  const before = text[at - 1] ?? ' ';
  const after = text[at + run.length] ?? ' ';
  const inWord = run[0] === '_' && /[\p{L}\p{N}]/u.test(before) && /[\p{L}\p{N}]/u.test(after);
  return { type: 'mark', sign: run[0] ?? '', count: run.length, opens: !inWord && /\S/.test(after), closes: !inWord && /\S/.test(before) };
}

/** Turn pairs of marks into emphasis, inner pairs first, and what stays alone back into text. @param {(Inline | Mark)[]} nodes @returns {Inline[]} */
function pairMarks(nodes) {
  /** @type {(Inline | Mark)[]} */
  const out = [];
  for (const node of nodes) {
    if (node.type === 'mark' && node.closes) closeWith(node, out);
    if (node.type !== 'mark' || node.count > 0) out.push(node);
  }
  return out.map(markToText);
}

/** Spend a closing mark on the openers at the end of `out`. @param {Mark} closer @param {(Inline | Mark)[]} out */
function closeWith(closer, out) {
  while (closer.count > 0) {
    const from = openerOf(out, closer.sign);
    const opener = out[from];
    if (opener?.type !== 'mark') return;
    const width = Math.min(2, opener.count, closer.count);
    const children = out.splice(from + 1).map(markToText);
    opener.count -= width;
    closer.count -= width;
    if (opener.count === 0) out.pop();
    out.push({ type: kindOf(closer.sign, width), children });
  }
}

/** The nearest mark that may open what `sign` closes, with something between. @param {(Inline | Mark)[]} out @param {string} sign */
function openerOf(out, sign) {
  for (let from = out.length - 2; from >= Math.max(0, out.length - LOOK_BACK); from -= 1) {
    const node = out[from];
    if (node?.type === 'mark' && node.opens && node.sign === sign) return from;
  }
  return -1;
}

/** @param {string} sign @param {number} width @returns {'strong' | 'em' | 'del'} */
function kindOf(sign, width) {
  if (sign === '~') return 'del';
  return width === 2 ? 'strong' : 'em';
}

/** @param {Inline | Mark} node @returns {Inline} */
function markToText(node) {
  return node.type === 'mark' ? { type: 'text', text: node.sign.repeat(node.count) } : node;
}
