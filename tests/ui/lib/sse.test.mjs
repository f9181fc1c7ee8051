import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SseDecoder } from '../../../ui/public/lib/sse.js';

const STREAM = '\uFEFF: hello\n\ndata: {"a":1}\n\nevent: x\r\ndata: one\r\ndata: 둘\r\n\r\nid: 7\rdata\rdata:x\r\rdata: last\n\n';
const ITEMS = [{ comment: 'hello' }, { data: '{"a":1}' }, { data: 'one\n둘' }, { data: '\nx' }, { data: 'last' }];

test('a stream gives the same items however it is cut', () => {
  for (const size of [1, 2, 3, 7, STREAM.length]) {
    const decoder = new SseDecoder();
    const items = [];
    for (let at = 0; at < STREAM.length; at += size) items.push(...decoder.feed(STREAM.slice(at, at + size)));
    assert.deepEqual(items, ITEMS, `cut every ${size} characters`);
  }
});

test('an event without its blank line is not given out', () => {
  assert.deepEqual(new SseDecoder().feed('data: half\n'), []);
});

test('a line without end is refused, not kept for ever', () => {
  const decoder = new SseDecoder();
  assert.throws(() => decoder.feed('x'.repeat(9 * 1024 * 1024)), RangeError);
});
