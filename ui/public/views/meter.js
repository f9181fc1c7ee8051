// The receipt's line: tokens, cost, time to the first token, speed.

import { count, seconds } from '../lib/format.js';
import { make } from '../lib/dom.js';
import { exactUsd, shortUsd, toPico } from '../lib/money.js';

/** @typedef {import('../state/conversation.js').Answer} Answer */
/** @typedef {import('../lib/i18n.js').Lang} Lang */
/** @typedef {import('../lib/i18n.js').Translate} Translate */
/** @typedef {{ label: string, value: string, title?: string, kind?: string }} Entry */

/** Below this span, tokens per second is noise: the whole answer came at once. */
const SHORTEST_SPAN_MS = 100;

/** @param {Answer} answer @param {Lang} lang @param {Translate} t */
export function drawMeter(answer, lang, t) {
  return [...tokens(answer, lang, t), ...cost(answer, t), ...times(answer, lang, t)].map(drawEntry);
}

/** @param {Entry} entry */
function drawEntry({ label, value, title, kind }) {
  const box = make('div', kind ? `meter-entry ${kind}` : 'meter-entry');
  if (title) box.title = title;
  box.append(make('dt', '', label), make('dd', '', value));
  return box;
}

/** @param {Answer} answer @param {Lang} lang @param {Translate} t @returns {Entry[]} */
function tokens({ usage }, lang, t) {
  if (!usage) return [{ label: t('meter.tokens'), value: t('meter.uncounted'), title: t('meter.uncountedTitle') }];
  const cached = usage.cacheRead && t('meter.cachedTitle', { count: count(usage.cacheRead, lang) });
  const thought = usage.reasoning && t('meter.reasoningTitle', { count: count(usage.reasoning, lang) });
  return [
    { label: t('meter.input'), value: count(usage.input, lang), title: cached || t('meter.inputTitle') },
    { label: t('meter.output'), value: count(usage.output, lang), title: thought || t('meter.outputTitle') },
  ];
}

/** @param {Answer} answer @param {Translate} t @returns {Entry[]} */
function cost({ cost, usage }, t) {
  const label = t('meter.cost');
  if (!cost) return usage ? [{ label, value: t('meter.unpriced'), kind: 'cost' }] : [];
  const pico = toPico(cost.usd);
  const usd = exactUsd(pico);
  return cost.exact
    ? [{ label, value: shortUsd(pico), title: t('meter.costExact', { usd }), kind: 'cost' }]
    : [{ label, value: `~${shortUsd(pico)}`, title: t('meter.costComputed', { usd }), kind: 'cost' }];
}

/** @param {Answer} answer @param {Lang} lang @param {Translate} t @returns {Entry[]} */
function times({ firstTokenMs, totalMs, usage }, lang, t) {
  if (totalMs === null) return [];
  const span = totalMs - (firstTokenMs ?? totalMs);
  const inSeconds = (/** @type {number} */ ms) => t('meter.seconds', { value: seconds(ms, lang) });
  if (firstTokenMs === null || span < SHORTEST_SPAN_MS) return [{ label: t('meter.time'), value: inSeconds(totalMs) }];
  const speed = usage && count(Math.round((usage.output * 1000) / span), lang);
  return [
    { label: t('meter.firstToken'), value: inSeconds(firstTokenMs) },
    ...(speed ? [{ label: t('meter.speed'), value: t('meter.perSecond', { value: speed }) }] : []),
  ];
}
