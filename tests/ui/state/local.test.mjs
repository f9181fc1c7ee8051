import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHttp } from '../../../ui/public/api/http.js';
import { readLocalStatus } from '../../../ui/public/api/local.js';
import { createLocal } from '../../../ui/public/state/local.js';
import { createStore } from '../../../ui/public/state/store.js';

const settled = () => new Promise((resolve) => setImmediate(resolve));

function localWith({ answer, isInSight = () => true }) {
  const store = createStore({ key: 'gw-1', local: null });
  const asked = [];
  const fetch = async (path) => {
    asked.push(path);
    return answer();
  };
  const http = createHttp({ fetch, key: () => 'gw-1' });
  return { store, asked, ...createLocal({ store, readStatus: () => readLocalStatus(http), isInSight }) };
}

const body = (engine, models) => ({ status: 'up', local_model: { available: engine, services: { local: { status: 'ok', engine, models } } } });

test('what the local service says, and that it lacks its engine', async () => {
  const row = { name: 'tiny', state: 'ready', slots: 4, busy: 1, queue: 0, tokens_per_second: 9.5, memory_bytes: 5 };
  let said = body(true, [row, { name: 'other', state: 'stopped' }]);
  const { store, look } = localWith({ answer: () => Response.json(said) });
  await look();
  const [tiny, other] = store.get().local.models;
  assert.deepEqual([tiny.slots, tiny.busy, tiny.waiting, tiny.writesPerSecond, tiny.memoryBytes], [4, 1, 0, 9.5, 5]);
  assert.deepEqual([other.state, other.slots, other.loadSeconds], ['unloaded', null, null]);
  assert.equal(store.get().local.lacksEngine, false);
  said = body(false, [row]);
  await look();
  assert.deepEqual(store.get().local, { lacksEngine: true, models: [] });
  said = { status: 'up', local_model: { available: true, models: ['of a bare llama-server'] } };
  await look();
  assert.deepEqual(store.get().local, { lacksEngine: false, models: [] });
});

test('what cannot be told is not shown, nor told to another key', async () => {
  let answer = () => Response.json(body(true, [{ name: 'tiny', state: 'ready' }]));
  const { store, asked, look } = localWith({ answer: () => answer() });
  const under = look();
  store.set({ key: 'gw-2' });
  await under;
  assert.equal(store.get().local, null);
  await look();
  assert.equal(store.get().local.models.length, 1);
  answer = () => new Response('', { status: 503 });
  await look();
  assert.equal(store.get().local, null);
  store.set({ key: null });
  await look();
  assert.equal(asked.length, 3);
});

test('it is asked while somebody looks, and no longer', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  let inSight = true;
  const { asked, watch } = localWith({ answer: () => Response.json(body(true, [])), isInSight: () => inSight });
  const leave = watch();
  await settled();
  assert.equal(asked.length, 1);
  const pass = async () => {
    context.mock.timers.tick(3_000);
    await settled();
  };
  await pass();
  assert.equal(asked.length, 2);
  inSight = false;
  await pass();
  assert.equal(asked.length, 2);
  inSight = true;
  await pass();
  assert.equal(asked.length, 3);
  leave();
  await pass();
  assert.equal(asked.length, 3);
});
