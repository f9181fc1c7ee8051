import assert from 'node:assert/strict';
import { test } from 'node:test';
import { costOf, exactUsd, shortUsd, toPico } from '../../../ui/public/lib/money.js';

const usage = (more) => ({ input: 0, output: 0, cacheRead: 0, cacheWrite: 0, reasoning: 0, ...more });
const price = (input, output, more) => ({ input_price_per_million: input, output_price_per_million: output, ...more });

test('decimals become whole pico-dollars, whatever their spelling', () => {
  const cases = { 0: 0n, 0.15: 150_000_000_000n, '2.50': 2_500_000_000_000n, '1e-7': 100_000n, '.5': 500_000_000_000n, 12: 12_000_000_000_000n };
  for (const [text, pico] of Object.entries(cases)) assert.equal(toPico(text), pico, text);
  assert.equal(toPico(1e-7), 100_000n);
  assert.equal(toPico('0.0000000000019'), 1n);
  for (const text of ['', '-1', 'x', 'NaN', '.']) assert.throws(() => toPico(text), RangeError);
});

test('a call costs what its tokens cost, exactly', () => {
  assert.equal(exactUsd(costOf(usage({ input: 1234, output: 312 }), price(0.15, 0.6))), '0.0003723');
  assert.equal(exactUsd(costOf(usage({ input: 1_000_000, output: 3 }), price('0.1', '0.2'))), '0.1000006');
  assert.equal(costOf(usage({ input: 5, output: 5 }), price(0, 0)), 0n);
});

test('tokens without a price make the cost unknown; a price that is not needed is not missed', () => {
  assert.equal(costOf(usage({ input: 1, output: 1 }), { input_price_per_million: 1 }), null);
  assert.equal(costOf(usage({ input: 1 }), { input_price_per_million: 1, output_price_per_million: null }), 1_000_000n);
  assert.equal(costOf(usage({ input: 1 }), { price_per_image: 1 }), null);
});

test('cached tokens have their own price, or the input price', () => {
  const cached = usage({ input: 1000, cacheRead: 800, cacheWrite: 100 });
  assert.equal(exactUsd(costOf(cached, price(1, 2))), '0.001');
  const listed = price(1, 2, { cache_read_price_per_million: 0.1, cache_write_price_per_million: 1.25 });
  assert.equal(exactUsd(costOf(cached, listed)), '0.000305');
});

test('each class is rounded once, half to even', () => {
  assert.equal(costOf(usage({ input: 1 }), price('0.0000005', 0)), 0n);
  assert.equal(costOf(usage({ input: 3 }), price('0.0000005', 0)), 2n);
  assert.equal(costOf(usage({ input: 1, output: 1 }), price('0.0000006', '0.0000006')), 2n);
});

test('amounts for reading', () => {
  const cases = { 0: '$0.00', '0.000372345': '$0.000372', '0.0099999': '$0.01', '0.05': '$0.05', '0.1234': '$0.123', '1.005': '$1.01', '12.3': '$12.30', '0.000000000001': '$0.000000000001' };
  for (const [usd, text] of Object.entries(cases)) assert.equal(shortUsd(toPico(usd)), text, usd);
});
