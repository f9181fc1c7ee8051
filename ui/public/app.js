// The page's composition root: builds api, state and views, and ties them to the browser.

import { streamChat } from './api/chat.js';
import { createHttp } from './api/http.js';
import { readLocalStatus } from './api/local.js';
import { listModels } from './api/models.js';
import { pickLanguage } from './lib/i18n.js';
import { createChat } from './state/chat.js';
import { createLocal } from './state/local.js';
import { createSignIn, keyInFragment } from './state/sign-in.js';
import { createStorage, openShelf } from './state/storage.js';
import { createStore } from './state/store.js';
import { mountShell } from './views/shell.js';

const storage = createStorage({ session: openShelf('sessionStorage'), local: openShelf('localStorage') });
const store = createStore({
  lang: pickLanguage(navigator.languages),
  theme: 'system',
  ...storage.readKey(),
  signInProblem: null,
  models: null,
  modelsProblem: null,
  model: null,
  local: null,
  settings: { system: '', temperature: null, maxTokens: null },
  settingsOpen: false,
  messages: [],
  draft: '',
  ...storage.readTaste(),
  ...storage.readChat(),
});

const http = createHttp({ fetch: (...call) => fetch(...call), key: () => store.get().key });
const keep = () => storage.writeChat(store.get());
const chat = createChat({
  store,
  stream: (request, signal) => streamChat(http, request, signal),
  now: () => performance.now(),
  keep,
});
const signIn = createSignIn({ store, storage, listModels: () => listModels(http) });
const local = createLocal({ store, readStatus: () => readLocalStatus(http), isInSight: () => !document.hidden });

/** A sign-in link's key leaves the address bar, and with it the history, before anything else happens. */
function takeKeyFromAddress() {
  const key = keyInFragment(location.hash);
  if (key === null) return false;
  history.replaceState(null, '', location.pathname + location.search);
  void signIn.signIn(key, false);
  return true;
}

if (!takeKeyFromAddress() && store.get().key !== null) void signIn.loadModels();
void mountShell(
  document.getElementById('app') ?? document.body,
  { store, chat, signIn, local, storage },
  async (lang) => (await import(`./i18n/${lang}.js`)).default,
);
addEventListener('hashchange', takeKeyFromAddress);
addEventListener('pagehide', keep);
