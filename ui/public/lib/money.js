// Tokens to dollars, in whole pico-dollars (1e-12 USD): the bill is exact, so no float touches an amount.

/** @typedef {number | string | null | undefined} Price USD per million tokens; a model need not have every price */
/**
 * The gateway's price fields, of those that a text chat needs.
 * @typedef {{
 *   input_price_per_million?: Price,
 *   output_price_per_million?: Price,
 *   cache_read_price_per_million?: Price,
 *   cache_write_price_per_million?: Price,
 * }} Pricing
 */
/** @typedef {{ input: number, output: number, cacheRead: number, cacheWrite: number, reasoning: number }} Usage */

const PICO_DIGITS = 12;
const MILLION = 1_000_000n;

/**
 * A decimal number as text, in units of 1e-12. Digits beyond the twelfth are cut off.
 * @param {number | string} value
 * @throws {RangeError} when it is not a plain non-negative decimal
 */
export function toPico(value) {
  const match = /^(\d*)\.?(\d*)(?:e([+-]?\d+))?$/i.exec(String(value).trim());
  if (!match || !(match[1] || match[2])) throw new RangeError(`not an amount: ${value}`);
  const whole = match[1] ?? '';
  const digits = whole + (match[2] ?? '');
  const places = whole.length + Number(match[3] ?? 0) + PICO_DIGITS;
  return BigInt(places <= 0 ? '0' : digits.padEnd(places, '0').slice(0, places) || '0');
}

/**
 * What a call cost, in pico-dollars; null when tokens were used that have no price. Cached tokens are part of `input` and
 * cost the input price where the list has no other; each token class is rounded once, half-even, as the ledger does.
 * @param {Usage} usage
 * @param {Pricing} pricing
 * @returns {bigint | null}
 */
export function costOf(usage, pricing) {
  const fresh = Math.max(0, usage.input - usage.cacheRead - usage.cacheWrite);
  const input = pricing.input_price_per_million;
  /** @type {[number, Price][]} */
  const classes = [
    [fresh, input],
    [usage.cacheRead, pricing.cache_read_price_per_million ?? input],
    [usage.cacheWrite, pricing.cache_write_price_per_million ?? input],
    [usage.output, pricing.output_price_per_million],
  ];
  let sum = 0n;
  for (const [tokens, price] of classes) {
    if (tokens === 0) continue;
    if (price === null || price === undefined) return null;
    sum += share(tokens, price);
  }
  return sum;
}

/** @param {number} tokens @param {number | string} price */
function share(tokens, price) {
  const product = BigInt(tokens) * toPico(price);
  const quotient = product / MILLION;
  const rest = (product % MILLION) * 2n;
  const up = rest > MILLION || (rest === MILLION && quotient % 2n === 1n);
  return up ? quotient + 1n : quotient;
}

/**
 * Dollars as plain decimal text with nothing rounded away: `0.000123`.
 * @param {bigint} pico
 */
export function exactUsd(pico) {
  const digits = pico.toString().padStart(PICO_DIGITS + 1, '0');
  const fraction = digits.slice(-PICO_DIGITS).replace(/0+$/, '');
  return digits.slice(0, -PICO_DIGITS) + (fraction && `.${fraction}`);
}

/**
 * Dollars for reading: cents from one dollar on, else three significant digits, never fewer than two decimals.
 * @param {bigint} pico
 */
export function shortUsd(pico) {
  const digits = pico.toString();
  const places = pico === 0n ? 2 : Math.min(PICO_DIGITS, Math.max(2, PICO_DIGITS + 3 - digits.length));
  const unit = 10n ** BigInt(PICO_DIGITS - places);
  const rounded = ((pico + unit / 2n) / unit) * unit;
  const [whole, fraction = ''] = exactUsd(rounded).split('.');
  return `$${whole}.${fraction.padEnd(2, '0')}`;
}
