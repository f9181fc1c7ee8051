// What a person can do with the conversation: each action turns into events for the reducer and, for an answer, a call.

import { ApiError, Truncated, isAbort } from '../api/http.js';
import { costOf, exactUsd } from '../lib/money.js';
import { reduce, toRequest } from './conversation.js';
import { problemOf } from './sign-in.js';
import { isAnswering, pickedModel } from './store.js';

/** @typedef {import('./store.js').Store} Store */
/** @typedef {import('./conversation.js').Event} Event */
/** @typedef {import('./conversation.js').Answer} Answer */
/** @typedef {import('../api/models.js').Model} Model */
/** @typedef {import('../api/chat.js').streamChat} StreamChat */
/** @typedef {Parameters<StreamChat> extends [any, ...infer Rest] ? (...rest: Rest) => ReturnType<StreamChat> : never} Stream */

/** @typedef {ReturnType<typeof createChat>} Chat */

/**
 * @param {{ store: Store, stream: Stream, now: () => number, keep: () => void }} parts
 *   `now` in ms, monotonic; `keep` saves the conversation
 */
export function createChat({ store, stream, now, keep }) {
  let running = new AbortController();

  /** @param {Event} event */
  function dispatch(event) {
    store.set({ messages: reduce(store.get().messages, event) });
  }

  /** Let the picked model answer what stands in the conversation. */
  async function answer() {
    const state = store.get();
    const model = pickedModel(state);
    if (!model || isAnswering(state)) return;
    const request = toRequest(state.messages, model.id, state.settings);
    dispatch({ type: 'opened', model: model.id });
    const id = store.get().messages.at(-1)?.id ?? 0;
    running = new AbortController();
    keep();
    const sent = now();
    try {
      for await (const piece of stream(request, running.signal)) dispatch({ type: 'piece', id, piece, ms: now() - sent });
      dispatch({ type: 'ended', id, status: 'done', ms: now() - sent, cost: priceOf(id, model) });
    } catch (error) {
      dispatch(endOf(error, id, now() - sent));
      if (!isExpected(error)) throw error;
    } finally {
      keep();
    }
  }

  /** @param {number} id @param {Model} model @returns {string | null} */
  function priceOf(id, model) {
    const message = store.get().messages.find((candidate) => candidate.id === id);
    if (message?.role !== 'assistant' || !message.usage || !model.pricing) return null;
    const pico = costOf(message.usage, model.pricing);
    return pico === null ? null : exactUsd(pico);
  }

  /** @param {string} text */
  function send(text) {
    if (!text.trim() || isAnswering(store.get()) || !pickedModel(store.get())) return;
    dispatch({ type: 'asked', text: text.trim() });
    void answer();
  }

  function stop() {
    running.abort();
  }

  /** Answer the question before message `id` anew, with the model that is picked now. @param {number} id */
  function regenerate(id) {
    if (isAnswering(store.get())) return;
    dispatch({ type: 'rewound', id });
    void answer();
  }

  /** Put another text in the place of question `id` and go on from there. @param {number} id @param {string} text */
  function edit(id, text) {
    if (!text.trim() || isAnswering(store.get())) return;
    dispatch({ type: 'rewound', id });
    send(text);
  }

  function startNew() {
    stop();
    store.set({ messages: [] });
    keep();
  }

  return { send, stop, regenerate, edit, startNew };
}

/** @param {unknown} error @param {number} id @param {number} ms @returns {Event} */
function endOf(error, id, ms) {
  if (isAbort(error)) return { type: 'ended', id, status: 'stopped', ms, cost: null };
  if (error instanceof ApiError) return { type: 'failed', id, problem: problemOf(error), ms };
  return { type: 'ended', id, status: 'cut', ms, cost: null };
}

/** @param {unknown} error */
function isExpected(error) {
  return isAbort(error) || error instanceof ApiError || error instanceof Truncated;
}
