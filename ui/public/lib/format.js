// Numbers for reading, in the reader's language.

import { exactUsd, toPico } from './money.js';

/** @param {number} value @param {string} lang */
export function count(value, lang) {
  return new Intl.NumberFormat(lang).format(value);
}

/** Milliseconds as seconds: `0.42`, `12.3`. @param {number} ms @param {string} lang */
export function seconds(ms, lang) {
  const digits = ms < 9_995 ? 2 : 1;
  return new Intl.NumberFormat(lang, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(ms / 1000);
}

/** Bytes as millions of them: `86`, `1,234`. @param {number} bytes @param {string} lang */
export function megabytes(bytes, lang) {
  return count(Math.round(bytes / 1_000_000), lang);
}

/** A context window: `128K`, `1M`, `1.05M`. @param {number} tokens */
export function windowSize(tokens) {
  if (tokens >= 1_000_000) return `${trim(tokens / 1_000_000)}M`;
  return tokens >= 1_000 ? `${Math.round(tokens / 1_000)}K` : String(tokens);
}

/** A price per million tokens: `$0.15`, `$3`. @param {number | string} price */
export function price(price) {
  const [whole, fraction] = exactUsd(toPico(price)).split('.');
  return fraction ? `$${whole}.${fraction.padEnd(2, '0')}` : `$${whole}`;
}

/** @param {number} value */
function trim(value) {
  return value.toFixed(2).replace(/\.?0+$/, '');
}
