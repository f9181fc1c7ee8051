// The buttons at the right of the header: new chat, language, theme, settings.

import { partsOf, stamp } from '../lib/dom.js';

/** @typedef {import('./shell.js').Mount} Mount */

/** @type {Mount} */
export function mountHeader(place, { store, storage, chat, t }) {
  const { element, part } = stamp('tpl-actions', t);
  const newChat = part('new', HTMLButtonElement);
  const language = part('language', HTMLButtonElement);
  const theme = part('theme', HTMLButtonElement);
  const icon = partsOf(theme)('theme-icon', SVGUseElement);
  const system = matchMedia('(prefers-color-scheme: dark)');

  const isDark = () => (store.get().theme === 'system' ? system.matches : store.get().theme === 'dark');
  const other = store.get().lang === 'en' ? 'ko' : 'en';
  language.textContent = other === 'ko' ? '한국어' : 'English';
  language.lang = other;

  newChat.addEventListener('click', () => {
    chat.startNew();
    document.getElementById('prompt')?.focus();
  });
  language.addEventListener('click', () => {
    storage.writeTaste({ lang: other });
    store.set({ lang: other });
  });
  theme.addEventListener('click', () => {
    const next = isDark() ? 'light' : 'dark';
    storage.writeTaste({ theme: next });
    store.set({ theme: next });
  });
  part('open-settings', HTMLButtonElement).addEventListener('click', () => store.set({ settingsOpen: true }));

  function draw() {
    const state = store.get();
    newChat.hidden = !state.models?.some((model) => model.available);
    newChat.disabled = state.messages.length === 0;
    const label = t(isDark() ? 'header.toLight' : 'header.toDark');
    theme.setAttribute('aria-label', label);
    theme.title = label;
    icon.setAttribute('href', isDark() ? '#i-sun' : '#i-moon');
  }

  place.append(element);
  draw();
  system.addEventListener('change', draw);
  const unsubscribe = store.subscribe((state, before) => {
    const messagesCame = (state.messages.length === 0) !== (before.messages.length === 0);
    if (messagesCame || state.theme !== before.theme || state.models !== before.models) draw();
  });
  return () => {
    unsubscribe();
    system.removeEventListener('change', draw);
  };
}
