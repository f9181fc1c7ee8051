// The settings sheet. What is changed counts at once; a number that cannot be is left unset and marked.

import { stamp } from '../lib/dom.js';
import { mountLocalModels } from './local-models.js';

/** @typedef {import('../state/store.js').State} State */
/** @typedef {import('../state/store.js').Settings} Settings */
/** @typedef {import('../state/store.js').Theme} Theme */
/** @typedef {import('../lib/i18n.js').Lang} Lang */
/** @typedef {import('./shell.js').Mount} Mount */

/** @type {Mount} */
export function mountSettings(place, context) {
  const { store, storage, signIn, t } = context;
  const { element: dialog, part } = stamp('tpl-settings', t);
  if (!(dialog instanceof HTMLDialogElement)) throw new Error('tpl-settings is not a dialog');
  const system = part('system', HTMLTextAreaElement);
  const temperature = part('temperature', HTMLInputElement);
  const maxTokens = part('max-tokens', HTMLInputElement);
  const language = part('language', HTMLSelectElement);
  const themes = part('themes', HTMLElement);
  const remember = part('remember', HTMLInputElement);

  /** @param {Partial<Settings>} patch */
  const change = (patch) => store.set({ settings: { ...store.get().settings, ...patch } });
  system.addEventListener('input', () => change({ system: system.value }));
  temperature.addEventListener('input', () => change({ temperature: numberIn(temperature) }));
  maxTokens.addEventListener('input', () => change({ maxTokens: numberIn(maxTokens) }));
  language.addEventListener('change', () => {
    const lang = /** @type {Lang} */ (language.value);
    storage.writeTaste({ lang });
    store.set({ lang });
  });
  themes.addEventListener('change', (event) => {
    if (!(event.target instanceof HTMLInputElement)) return;
    const theme = /** @type {Theme} */ (event.target.value);
    storage.writeTaste({ theme });
    store.set({ theme });
  });
  remember.addEventListener('change', () => signIn.setRemembered(remember.checked));
  part('sign-out', HTMLButtonElement).addEventListener('click', () => signIn.signOut());
  part('close', HTMLButtonElement).addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => dialog.isConnected && store.set({ settingsOpen: false }));
  dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());

  function fill() {
    const { settings, lang, theme, key, remembered } = store.get();
    system.value = settings.system;
    temperature.value = settings.temperature === null ? '' : String(settings.temperature);
    maxTokens.value = settings.maxTokens === null ? '' : String(settings.maxTokens);
    language.value = lang;
    for (const radio of themes.querySelectorAll('input')) radio.checked = radio.value === theme;
    remember.checked = remembered;
    part('chat', HTMLElement).hidden = key === null;
    part('key', HTMLElement).hidden = key === null;
    part('key-in-use', HTMLElement).textContent = t('settings.keyInUse', { key: masked(key ?? '') });
  }

  const follow = (/** @type {State} */ { settingsOpen }) => {
    if (settingsOpen === dialog.open) return;
    if (!settingsOpen) return dialog.close();
    fill();
    dialog.showModal();
  };

  place.append(dialog);
  follow(store.get());
  const unmountLocalModels = mountLocalModels(part('local', HTMLElement), context);
  const unsubscribe = store.subscribe((state, before) => {
    if (state.settingsOpen !== before.settingsOpen) follow(state);
    else if (state.settingsOpen && (state.theme !== before.theme || state.remembered !== before.remembered)) fill();
  });
  return () => {
    unsubscribe();
    unmountLocalModels();
  };
}

/** The field's number, or null while it is empty or out of its bounds. @param {HTMLInputElement} field */
function numberIn(field) {
  const isUsable = field.value !== '' && field.checkValidity();
  field.setAttribute('aria-invalid', String(field.value !== '' && !isUsable));
  return isUsable ? field.valueAsNumber : null;
}

/** Enough of a key to tell it from another, not enough to use it. @param {string} key */
function masked(key) {
  return key.length > 16 ? `${key.slice(0, 6)}…${key.slice(-4)}` : '…';
}
