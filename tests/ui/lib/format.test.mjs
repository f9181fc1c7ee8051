import assert from 'node:assert/strict';
import { test } from 'node:test';
import { count, megabytes, price, seconds, windowSize } from '../../../ui/public/lib/format.js';

test('counts, bytes, spans, windows and prices', () => {
  assert.equal(count(1234567, 'en'), '1,234,567');
  assert.equal(megabytes(1_234_567_890, 'en'), '1,235');
  assert.deepEqual([420, 9_990, 12_340].map((ms) => seconds(ms, 'ko')), ['0.42', '9.99', '12.3']);
  assert.deepEqual([512, 4096, 128_000, 1_000_000, 1_047_576].map(windowSize), ['512', '4K', '128K', '1M', '1.05M']);
  assert.deepEqual([0.15, '2.5', 3, 1e-7, '0.075', '1.00'].map(price), ['$0.15', '$2.50', '$3', '$0.0000001', '$0.075', '$1']);
});
