import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError } from '../../../ui/public/api/http.js';
import { createSignIn, keyInFragment } from '../../../ui/public/state/sign-in.js';
import { createStorage } from '../../../ui/public/state/storage.js';
import { createStore } from '../../../ui/public/state/store.js';

const model = (id, available = true) => ({ id, provider: 'p', available, reason: '', contextWindow: null, maxOutput: null, pricing: null, label: '' });

function signInWith(listModels, state = {}) {
  const store = createStore({ key: null, model: null, models: null, ...state });
  const storage = createStorage({ session: null, local: null });
  return { store, ...createSignIn({ store, storage, listModels }) };
}

test('the key in a fragment', () => {
  assert.equal(keyInFragment('#key=gw-a_b-C'), 'gw-a_b-C');
  assert.equal(keyInFragment('#x=1&key=gw-1'), 'gw-1');
  for (const none of ['', '#', '#key=', '#prompt']) assert.equal(keyInFragment(none), null);
});

test('signing in loads the models and picks one that can be used, the remembered one first', async () => {
  const models = [model('off', false), model('one'), model('two')];
  const fresh = signInWith(async () => models);
  await fresh.signIn('gw-1', false);
  assert.equal(fresh.store.get().model, 'one');
  const again = signInWith(async () => models, { model: 'two' });
  await again.signIn('gw-1', false);
  assert.equal(again.store.get().model, 'two');
  const gone = signInWith(async () => models, { model: 'off' });
  await gone.signIn('gw-1', false);
  assert.equal(gone.store.get().model, 'one');
});

test('a model for chatting is picked before one for speech', async () => {
  const chat = { ...model('chat'), contextWindow: 4096, maxOutput: 1024 };
  const page = signInWith(async () => [model('speech'), chat]);
  await page.signIn('gw-1', false);
  assert.equal(page.store.get().model, 'chat');
});

test('a refused key signs out; another failure keeps the key', async () => {
  const refused = signInWith(async () => { throw new ApiError({ status: 401, message: 'no' }); });
  await refused.signIn('gw-1', false);
  assert.equal(refused.store.get().key, null);
  assert.equal(refused.store.get().signInProblem.status, 401);
  const away = signInWith(async () => { throw new ApiError({}); });
  await away.signIn('gw-1', false);
  assert.equal(away.store.get().key, 'gw-1');
  assert.equal(away.store.get().modelsProblem.status, 0);
});

test('an answer for a key that was replaced meanwhile is not shown', async () => {
  const waiting = [];
  const page = signInWith(() => new Promise((resolve) => waiting.push(resolve)));
  const first = page.signIn('gw-1', false);
  const second = page.signIn('gw-2', false);
  waiting[1]([model('new')]);
  waiting[0]([model('old')]);
  await Promise.all([first, second]);
  assert.equal(page.store.get().models[0].id, 'new');
});
