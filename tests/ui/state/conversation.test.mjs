import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reduce, toKeep, toRequest } from '../../../ui/public/state/conversation.js';

/** Runs events through the reducer, with every state frozen: it must never change one in place. */
function run(...events) {
  return events.reduce((messages, event) => {
    const frozen = Object.freeze(messages.map((message) => Object.freeze(message)));
    return reduce(frozen, event);
  }, []);
}

const asked = (text) => ({ type: 'asked', text });
const opened = { type: 'opened', model: 'm' };
const piece = (id, ms, body) => ({ type: 'piece', id, ms, piece: body });
const delta = (text, reasoning = '') => ({ type: 'delta', text, reasoning });
const none = { system: '', temperature: null, maxTokens: null };

test('an answer grows piece by piece and ends', () => {
  const [, answer] = run(
    asked('q'),
    opened,
    piece(2, 40, delta('', 'hm')),
    piece(2, 50, delta('Hel')),
    piece(2, 60, delta('lo')),
    piece(2, 61, { type: 'finish', reason: 'stop' }),
    piece(2, 62, { type: 'usage', usage: { input: 1, output: 2 } }),
    piece(2, 63, { type: 'dropped', fields: ['seed'] }),
    piece(2, 63, { type: 'dropped', fields: ['seed', 'top_k'] }),
    { type: 'ended', id: 2, status: 'done', ms: 70, cost: '0.5' },
  );
  assert.equal(answer.text, 'Hello');
  assert.equal(answer.reasoning, 'hm');
  assert.equal(answer.firstTokenMs, 40);
  assert.equal(answer.totalMs, 70);
  assert.equal(answer.status, 'done');
  assert.deepEqual(answer.cost, { usd: '0.5', exact: false });
  assert.deepEqual(answer.dropped, ['seed', 'top_k']);
});

test('the cost that the gateway told stands over the computed one', () => {
  const end = { type: 'ended', id: 1, status: 'done', ms: 1, cost: '0.5' };
  const [answer] = run(opened, piece(1, 1, { type: 'cost', usd: '0.4' }), end);
  assert.deepEqual(answer.cost, { usd: '0.4', exact: true });
});

test('a piece for a message that is gone changes nothing', () => {
  const before = run(asked('q'));
  assert.deepEqual(reduce(before, piece(9, 1, delta('x'))), before);
});

test('rewinding removes a message and all after it', () => {
  const messages = run(asked('a'), opened, asked('b'), opened, { type: 'rewound', id: 3 });
  assert.deepEqual(messages.map((message) => message.id), [1, 2]);
});

test('a request holds what was said and only the settings that are set', () => {
  const messages = run(asked('a'), opened, piece(2, 1, delta('A', 'thought')), asked('b'), opened);
  assert.deepEqual(toRequest(messages, 'm', none), {
    model: 'm',
    messages: [
      { role: 'user', content: 'a' },
      { role: 'assistant', content: 'A' },
      { role: 'user', content: 'b' },
    ],
  });
  const set = toRequest([], 'm', { system: 'Be brief.', temperature: 0, maxTokens: 5 });
  assert.deepEqual(set, { model: 'm', messages: [{ role: 'system', content: 'Be brief.' }], temperature: 0, max_tokens: 5 });
});

test('what is kept fits, begins with a question, and holds no running answer', () => {
  const long = 'x'.repeat(1000);
  const messages = run(asked(long), opened, piece(2, 1, delta(long)), asked(long), opened, piece(4, 1, delta('part')));
  assert.deepEqual(toKeep(messages, 1e6).map((message) => message.status), [undefined, 'cut', undefined, 'cut']);
  assert.deepEqual(toKeep(messages, 3500).map((message) => message.id), [3, 4]);
  assert.deepEqual(toKeep(messages, 1000), []);
});
