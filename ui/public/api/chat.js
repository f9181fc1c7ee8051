// POST /v1/chat/completions, streamed: an answer as an async generator of pieces.

import { SseDecoder } from '../lib/sse.js';
import { ApiError, Truncated, decode, isAbort, messageOf } from './http.js';

/** @typedef {import('./http.js').Http} Http */
/** @typedef {import('../lib/money.js').Usage} Usage */
/**
 * @typedef {{
 *   model: string,
 *   messages: { role: 'system' | 'user' | 'assistant', content: string }[],
 *   temperature?: number,
 *   max_tokens?: number,
 * }} ChatRequest
 */
/**
 * @typedef {(
 *   | { type: 'delta', text: string, reasoning: string }
 *   | { type: 'usage', usage: Usage }
 *   | { type: 'finish', reason: string }
 *   | { type: 'dropped', fields: string[] }
 *   | { type: 'cost', usd: string }
 * )} Piece
 */

/**
 * @param {Http} http
 * @param {ChatRequest} request
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<Piece, void, void>}
 * @throws {ApiError | Truncated} and the AbortError of `signal`
 */
export async function* streamChat(http, request, signal) {
  const body = { ...request, stream: true, stream_options: { include_usage: true } };
  const response = await http.post('/v1/chat/completions', body, signal);
  const dropped = response.headers.get('x-tollgate-dropped');
  if (dropped) yield { type: 'dropped', fields: names(dropped) };
  const cost = response.headers.get('x-tollgate-cost-usd');
  if (cost) yield { type: 'cost', usd: cost };
  if (response.headers.get('content-type')?.startsWith('text/event-stream')) yield* streamed(response);
  else yield* piecesOf(decode(await response.text()));
}

/** @param {Response} response @returns {AsyncGenerator<Piece, void, void>} */
async function* streamed(response) {
  const decoder = new SseDecoder();
  for await (const text of textOf(response)) {
    for (const item of decoder.feed(text)) {
      if ('comment' in item) yield* droppedIn(item.comment);
      else if (item.data === '[DONE]') return;
      else yield* piecesOf(decode(item.data));
    }
  }
  throw new Truncated();
}

/** The body as text. A connection that breaks ends it, as a clean end of file does: both lack the `[DONE]`. @param {Response} response */
async function* textOf(response) {
  const reader = response.body?.getReader();
  if (!reader) return;
  const utf8 = new TextDecoder();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch(endUnlessAborted);
      if (done) return;
      yield utf8.decode(value, { stream: true });
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

/** @param {unknown} error @returns {{ done: true, value: undefined }} */
function endUnlessAborted(error) {
  if (isAbort(error)) throw error;
  return { done: true, value: undefined };
}

/**
 * One chunk, or one whole answer: they differ in `delta` and `message`.
 * @param {any} body
 * @returns {Generator<Piece, void, void>}
 */
function* piecesOf(body) {
  if (body.error) throw new ApiError({ status: Number(body.error.status) || 502, message: messageOf(body) });
  const choice = body.choices?.[0];
  const delta = choice?.delta ?? choice?.message;
  const text = delta?.content || delta?.refusal || '';
  const reasoning = delta?.reasoning_content || delta?.reasoning || '';
  if (text || reasoning) yield { type: 'delta', text, reasoning };
  if (choice?.finish_reason) yield { type: 'finish', reason: choice.finish_reason };
  if (body.usage) yield { type: 'usage', usage: toUsage(body.usage) };
}

/** @param {any} usage @returns {Usage} */
function toUsage(usage) {
  return {
    input: usage.prompt_tokens ?? 0,
    output: usage.completion_tokens ?? 0,
    cacheRead: usage.prompt_tokens_details?.cached_tokens ?? 0,
    cacheWrite: usage.prompt_tokens_details?.cache_write_tokens ?? usage.cache_creation_input_tokens ?? 0,
    reasoning: usage.completion_tokens_details?.reasoning_tokens ?? 0,
  };
}

/** What a stream lost in translation is told in a comment before its end. @param {string} comment @returns {Generator<Piece, void, void>} */
function* droppedIn(comment) {
  const match = /^(?:x-)?tollgate-dropped:\s*(.+)$/.exec(comment);
  if (match?.[1]) yield { type: 'dropped', fields: names(match[1]) };
}

/** @param {string} list */
function names(list) {
  return list.split(',').map((name) => name.trim()).filter(Boolean);
}
