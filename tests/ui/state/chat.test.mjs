import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, Truncated } from '../../../ui/public/api/http.js';
import { createChat } from '../../../ui/public/state/chat.js';
import { createStore } from '../../../ui/public/state/store.js';

const PRICED = { id: 'm', provider: 'p', available: true, pricing: { input_price_per_million: 1, output_price_per_million: 2 } };
const USAGE = { input: 10, output: 5, cacheRead: 0, cacheWrite: 0, reasoning: 0 };

/** A chat over a scripted stream, and a promise of the moment when the answer has ended. */
function chatOver(stream, model = PRICED) {
  const settings = { system: '', temperature: null, maxTokens: null };
  const store = createStore({ model: 'm', models: [model], messages: [], settings });
  let clock = 0;
  let saved = 0;
  const chat = createChat({ store, stream, now: () => (clock += 10), keep: () => (saved += 1) });
  const ended = () =>
    new Promise((resolve) => {
      const unsubscribe = store.subscribe(({ messages }) => {
        const last = messages.at(-1);
        if (last?.role !== 'assistant' || last.status === 'running') return;
        unsubscribe();
        resolve(last);
      });
    });
  return { store, chat, ended, saves: () => saved };
}

test('sending asks, answers and prices', async () => {
  const requests = [];
  const { chat, ended, store } = chatOver(async function* (request) {
    requests.push(request);
    yield { type: 'delta', text: 'Hi', reasoning: '' };
    yield { type: 'usage', usage: USAGE };
  });
  const end = ended();
  chat.send('  Hello  ');
  const answer = await end;
  assert.equal(answer.text, 'Hi');
  assert.deepEqual(answer.cost, { usd: '0.00002', exact: false });
  assert.deepEqual(requests[0].messages, [{ role: 'user', content: 'Hello' }]);
  assert.equal(store.get().messages.length, 2);
});

test('an unknown price is no cost, not a zero', async () => {
  const { chat, ended } = chatOver(
    async function* () {
      yield { type: 'usage', usage: USAGE };
    },
    { ...PRICED, pricing: null },
  );
  const end = ended();
  chat.send('a');
  assert.equal((await end).cost, null);
});

test('stopping keeps what came and is not a failure', async () => {
  const { chat, ended } = chatOver(async function* (_, signal) {
    yield { type: 'delta', text: 'part', reasoning: '' };
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  });
  const end = ended();
  chat.send('a');
  await new Promise(setImmediate);
  chat.stop();
  const answer = await end;
  assert.equal(answer.status, 'stopped');
  assert.equal(answer.text, 'part');
});

test('a truncated stream is cut, a refusal is failed with its words', async () => {
  const cut = chatOver(async function* () {
    yield { type: 'delta', text: 'part', reasoning: '' };
    throw new Truncated();
  });
  const cutEnd = cut.ended();
  cut.chat.send('a');
  assert.equal((await cutEnd).status, 'cut');

  const failed = chatOver(async function* () {
    throw new ApiError({ status: 429, message: 'slow down', retryAfter: 3 });
  });
  const failedEnd = failed.ended();
  failed.chat.send('a');
  assert.deepEqual((await failedEnd).problem, { status: 429, message: 'slow down', retryAfter: 3, requestId: null });
});

test('one answer at a time; nothing empty is sent', async () => {
  let calls = 0;
  let release;
  const { chat, ended, store } = chatOver(async function* () {
    calls += 1;
    await new Promise((resolve) => (release = resolve));
  });
  chat.send('   ');
  const end = ended();
  chat.send('a');
  chat.send('b');
  chat.regenerate(2);
  chat.edit(1, 'c');
  await new Promise(setImmediate);
  assert.equal(calls, 1);
  release();
  await end;
  assert.equal(store.get().messages.length, 2);
});

test('regenerate answers the same question anew, edit asks another in its place', async () => {
  const asked = [];
  const page = chatOver(async function* (request) {
    asked.push(request.messages.map((message) => message.content));
    yield { type: 'delta', text: `answer ${asked.length}`, reasoning: '' };
  });
  for (const act of [() => page.chat.send('a'), () => page.chat.regenerate(2), () => page.chat.edit(1, 'b')]) {
    const end = page.ended();
    act();
    await end;
  }
  assert.deepEqual(asked, [['a'], ['a'], ['b']]);
  assert.deepEqual(page.store.get().messages.map((message) => message.text), ['b', 'answer 3']);
  assert.ok(page.saves() >= 3);
});
