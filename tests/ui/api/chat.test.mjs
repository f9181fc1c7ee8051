import assert from 'node:assert/strict';
import { test } from 'node:test';
import { streamChat } from '../../../ui/public/api/chat.js';
import { ApiError, Truncated, createHttp, messageOf } from '../../../ui/public/api/http.js';
import { listModels } from '../../../ui/public/api/models.js';

const SSE = { 'Content-Type': 'text/event-stream; charset=utf-8' };
const utf8 = new TextEncoder();

/** An http whose every answer is `response`; `calls` holds what was asked. */
function httpOf(response, calls = []) {
  const fetch = async (...call) => {
    calls.push(call);
    return response;
  };
  return createHttp({ fetch, key: () => 'gw-1' });
}

function cutBody(text, size) {
  const bytes = utf8.encode(text);
  return new ReadableStream({
    start(controller) {
      for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
      controller.close();
    },
  });
}

async function collect(http, request = { model: 'm', messages: [] }) {
  const pieces = [];
  for await (const piece of streamChat(http, request, new AbortController().signal)) pieces.push(piece);
  return pieces;
}

const chunk = (body) => `data: ${JSON.stringify(body)}\n\n`;
const STREAM =
  ': start\n\n' +
  chunk({ choices: [{ delta: { role: 'assistant', content: '' } }] }) +
  chunk({ choices: [{ delta: { reasoning_content: '음' } }] }) +
  chunk({ choices: [{ delta: { content: '안녕' }, finish_reason: null }] }) +
  chunk({ choices: [{ delta: {}, finish_reason: 'stop' }] }) +
  chunk({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 1 } } }) +
  ': tollgate-dropped: logprobs, annotations\n\n' +
  'data: [DONE]\n\n';

test('a stream gives the same pieces however its bytes are cut', async () => {
  for (const size of [1, 5, STREAM.length * 2]) {
    const response = new Response(cutBody(STREAM, size), { headers: { ...SSE, 'x-tollgate-dropped': 'top_k' } });
    assert.deepEqual(await collect(httpOf(response)), [
      { type: 'dropped', fields: ['top_k'] },
      { type: 'delta', text: '', reasoning: '음' },
      { type: 'delta', text: '안녕', reasoning: '' },
      { type: 'finish', reason: 'stop' },
      { type: 'usage', usage: { input: 3, output: 2, cacheRead: 1, cacheWrite: 0, reasoning: 0 } },
      { type: 'dropped', fields: ['logprobs', 'annotations'] },
    ]);
  }
});

test('a request asks for a stream with usage, with the key in its header only', async () => {
  const calls = [];
  await collect(httpOf(new Response('data: [DONE]\n\n', { headers: SSE }), calls), { model: 'm', messages: [], temperature: 1 });
  const [path, init] = calls[0];
  assert.equal(path, '/v1/chat/completions');
  assert.equal(init.headers.get('Authorization'), 'Bearer gw-1');
  assert.deepEqual(JSON.parse(init.body), { model: 'm', messages: [], temperature: 1, stream: true, stream_options: { include_usage: true } });
});

test('a stream without [DONE] is truncated, also when the connection breaks', async () => {
  const half = STREAM.slice(0, -16);
  await assert.rejects(collect(httpOf(new Response(half, { headers: SSE }))), Truncated);
  const broken = new ReadableStream({
    pull(controller) {
      controller.error(new TypeError('network error'));
    },
  });
  await assert.rejects(collect(httpOf(new Response(broken, { headers: SSE }))), Truncated);
});

test('an error event in the stream is an error', async () => {
  const stream = chunk({ choices: [{ delta: { content: 'a' } }] }) + chunk({ error: { message: 'overloaded', type: 'upstream_error' } });
  await assert.rejects(collect(httpOf(new Response(stream, { headers: SSE }))), (error) => {
    return error instanceof ApiError && error.status === 502 && error.message === 'overloaded';
  });
});

test('a plain answer is the same pieces, with the cost that the gateway tells', async () => {
  const body = { choices: [{ message: { content: 'hi' }, finish_reason: 'stop' }], usage: { prompt_tokens: 1, completion_tokens: 1 } };
  const response = Response.json(body, { headers: { 'x-tollgate-cost-usd': '0.00001' } });
  const pieces = await collect(httpOf(response));
  assert.deepEqual(pieces.map((piece) => piece.type), ['cost', 'delta', 'finish', 'usage']);
});

test('a refusal carries status, message, wait and request id', async () => {
  const response = Response.json({ error: { message: 'slow' }, detail: 'slow' }, { status: 429, headers: { 'retry-after': '2.4', 'x-request-id': 'r1' } });
  await assert.rejects(collect(httpOf(response)), (error) => {
    assert.deepEqual([error.status, error.message, error.retryAfter, error.requestId], [429, 'slow', 3, 'r1']);
    return true;
  });
});

test('a proxy page, a dead network and a foreign answer are told apart from the gateway', async () => {
  await assert.rejects(httpOf(new Response('<html>', { status: 502 })).get('/v1/models'), { status: 0 });
  const dead = createHttp({ fetch: async () => Promise.reject(new TypeError('failed')), key: () => null });
  await assert.rejects(dead.get('/v1/models'), { status: 0 });
  await assert.rejects(listModels(httpOf(new Response('<html>'))), { status: 502 });
  await assert.rejects(listModels(httpOf(Response.json({}))), { status: 502 });
});

test('an abort passes as it is', async () => {
  const abort = new DOMException('stop', 'AbortError');
  const http = createHttp({ fetch: async () => Promise.reject(abort), key: () => null });
  await assert.rejects(http.get('/x'), abort);
});

test('messages of every error shape', () => {
  const shapes = [{ error: { message: 'm' } }, { error: 'm' }, { detail: 'm' }, { detail: [{ msg: 'm' }] }, { message: 'm' }];
  for (const shape of shapes) assert.equal(messageOf(shape), 'm');
  for (const shape of [null, [], 'x', {}, { error: {} }]) assert.equal(messageOf(shape), '');
});

test('models: the page needs id and availability, all else may be missing', async () => {
  const data = [{ id: 'a' }, { id: 'b', owned_by: 'p', available: false, unavailable_reason: 'no key', context_window: 5, pricing: { input_price_per_million: 1 } }];
  const [plain, full] = await listModels(httpOf(Response.json({ data })));
  assert.deepEqual(plain, { id: 'a', provider: '', available: true, reason: '', contextWindow: null, maxOutput: null, pricing: null, label: '' });
  assert.equal(full.reason, 'no key');
});
