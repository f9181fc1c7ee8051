// The conversation as a pure reducer: events in, a new list of messages out. No clock, no network, no storage.

/** @typedef {import('../api/chat.js').Piece} Piece */
/** @typedef {import('../api/chat.js').ChatRequest} ChatRequest */
/** @typedef {import('../lib/money.js').Usage} Usage */
/**
 * What went wrong, in a shape that can be stored. `status` 0: nothing answered. `message` is the gateway's own.
 * @typedef {{ status: number, message: string, retryAfter: number | null, requestId: string | null }} Problem
 */
/** @typedef {{ id: number, role: 'user', text: string }} Question */
/**
 * `cost` is in USD; `exact` when the gateway said it, else computed from the price list. Times are in ms after sending.
 * @typedef {{
 *   id: number,
 *   role: 'assistant',
 *   model: string,
 *   text: string,
 *   reasoning: string,
 *   status: 'running' | 'done' | 'stopped' | 'cut' | 'failed',
 *   problem: Problem | null,
 *   finish: string | null,
 *   usage: Usage | null,
 *   cost: { usd: string, exact: boolean } | null,
 *   dropped: string[],
 *   firstTokenMs: number | null,
 *   totalMs: number | null,
 * }} Answer
 */
/** @typedef {Question | Answer} Message */
/**
 * @typedef {(
 *   | { type: 'asked', text: string }
 *   | { type: 'opened', model: string }
 *   | { type: 'piece', id: number, piece: Piece, ms: number }
 *   | { type: 'ended', id: number, status: 'done' | 'stopped' | 'cut', ms: number, cost: string | null }
 *   | { type: 'failed', id: number, problem: Problem, ms: number }
 *   | { type: 'rewound', id: number }
 * )} Event `rewound` removes message `id` and all after it.
 */

/**
 * @param {Message[]} messages
 * @param {Event} event
 * @returns {Message[]}
 */
export function reduce(messages, event) {
  switch (event.type) {
    case 'asked':
      return [...messages, { id: nextId(messages), role: 'user', text: event.text }];
    case 'opened':
      return [...messages, newAnswer(nextId(messages), event.model)];
    case 'piece':
      return change(messages, event.id, (answer) => withPiece(answer, event.piece, event.ms));
    case 'ended':
      return change(messages, event.id, (answer) => ended(answer, event));
    case 'failed':
      return change(messages, event.id, (answer) => ({
        ...answer,
        status: 'failed',
        problem: event.problem,
        totalMs: event.ms,
      }));
    case 'rewound':
      return messages.filter((message) => message.id < event.id);
  }
}

/** Ids only grow along a conversation, so "all after" is a comparison. @param {Message[]} messages */
export function nextId(messages) {
  return (messages.at(-1)?.id ?? 0) + 1;
}

/** @param {number} id @param {string} model @returns {Answer} */
function newAnswer(id, model) {
  return {
    id,
    role: 'assistant',
    model,
    text: '',
    reasoning: '',
    status: 'running',
    problem: null,
    finish: null,
    usage: null,
    cost: null,
    dropped: [],
    firstTokenMs: null,
    totalMs: null,
  };
}

/** @param {Message[]} messages @param {number} id @param {(answer: Answer) => Answer} how */
function change(messages, id, how) {
  return messages.map((message) => (message.id === id && message.role === 'assistant' ? how(message) : message));
}

/** @param {Answer} answer @param {Piece} piece @param {number} ms @returns {Answer} */
function withPiece(answer, piece, ms) {
  switch (piece.type) {
    case 'delta':
      return {
        ...answer,
        text: answer.text + piece.text,
        reasoning: answer.reasoning + piece.reasoning,
        firstTokenMs: answer.firstTokenMs ?? ms,
      };
    case 'usage':
      return { ...answer, usage: piece.usage };
    case 'finish':
      return { ...answer, finish: piece.reason };
    case 'dropped':
      return { ...answer, dropped: [...new Set([...answer.dropped, ...piece.fields])] };
    case 'cost':
      return { ...answer, cost: { usd: piece.usd, exact: true } };
  }
}

/** @param {Answer} answer @param {Event & { type: 'ended' }} event @returns {Answer} */
function ended(answer, { status, ms, cost }) {
  return { ...answer, status, totalMs: ms, cost: answer.cost ?? (cost === null ? null : { usd: cost, exact: false }) };
}

/**
 * The request that continues a conversation. Answers without text say nothing to a model and are left out, with the
 * question that they failed to answer kept; settings that are not set are not sent.
 * @param {Message[]} messages
 * @param {string} model
 * @param {{ system: string, temperature: number | null, maxTokens: number | null }} settings
 * @returns {ChatRequest}
 */
export function toRequest(messages, model, settings) {
  /** @type {ChatRequest['messages']} */
  const turns = messages.filter((message) => message.text !== '').map(({ role, text }) => ({ role, content: text }));
  if (settings.system.trim()) turns.unshift({ role: 'system', content: settings.system });
  return {
    model,
    messages: turns,
    ...(settings.temperature !== null && { temperature: settings.temperature }),
    ...(settings.maxTokens !== null && { max_tokens: settings.maxTokens }),
  };
}

/**
 * What is kept over a reload: the newest messages that fit `limit` characters, from a question on. An answer that was
 * running when the page went away is cut short.
 * @param {Message[]} messages
 * @param {number} limit
 * @returns {Message[]}
 */
export function toKeep(messages, limit) {
  let room = limit;
  let from = messages.length;
  for (const message of messages.toReversed()) {
    room -= message.text.length + (message.role === 'assistant' ? message.reasoning.length : 0) + 400;
    if (room < 0) break;
    from -= 1;
  }
  while (from > 0 && from < messages.length && messages[from]?.role !== 'user') from += 1;
  return messages
    .slice(from)
    .map((message) => (message.role === 'assistant' && message.status === 'running' ? { ...message, status: 'cut' } : message));
}
