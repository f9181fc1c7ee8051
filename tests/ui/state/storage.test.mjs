import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createStorage } from '../../../ui/public/state/storage.js';

function shelf(content = {}) {
  const map = new Map(Object.entries(content));
  return {
    map,
    getItem: (name) => map.get(name) ?? null,
    setItem: (name, value) => void map.set(name, value),
    removeItem: (name) => void map.delete(name),
  };
}

test('the key is in one place only: the tab, or on wish the device', () => {
  const [session, local] = [shelf(), shelf()];
  const storage = createStorage({ session, local });
  storage.writeKey('gw-1', false);
  assert.deepEqual(storage.readKey(), { key: 'gw-1', remembered: false });
  assert.equal(local.map.size, 0);
  storage.writeKey('gw-1', true);
  assert.deepEqual(storage.readKey(), { key: 'gw-1', remembered: true });
  assert.equal(session.map.size, 0);
  storage.writeKey(null, false);
  assert.deepEqual(storage.readKey(), { key: null, remembered: false });
});

test('taste is kept, and only what is known is taken back', () => {
  const storage = createStorage({ session: shelf(), local: shelf() });
  storage.writeTaste({ lang: 'ko', model: 'm' });
  storage.writeTaste({ theme: 'dark' });
  assert.deepEqual(storage.readTaste(), { lang: 'ko', model: 'm', theme: 'dark' });
  const odd = shelf({ 'tollgate.taste': '{"lang":"xx","theme":7,"model":null}' });
  assert.deepEqual(createStorage({ session: shelf(), local: odd }).readTaste(), {});
});

test('a conversation comes back; a damaged one does not', () => {
  const session = shelf();
  const storage = createStorage({ session, local: shelf() });
  const chat = { messages: [{ id: 1, role: 'user', text: 'a' }], settings: { system: '', temperature: null, maxTokens: null }, draft: 'b' };
  storage.writeChat(chat);
  assert.deepEqual(storage.readChat(), chat);
  session.setItem('tollgate.chat.1', '{"messages":');
  assert.deepEqual(storage.readChat(), {});
});

test('storage that is full or forbidden stops nothing', () => {
  const full = { ...shelf(), setItem: () => { throw new DOMException('full', 'QuotaExceededError'); } };
  createStorage({ session: full, local: full }).writeKey('gw-1', true);
  assert.deepEqual(createStorage({ session: null, local: null }).readKey(), { key: null, remembered: false });
});
