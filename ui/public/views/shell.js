// The frame of the page, and which screen stands in it. A new language mounts everything anew: views read their texts once.

import { stamp } from '../lib/dom.js';
import { translator } from '../lib/i18n.js';
import { mountComposer } from './composer.js';
import { mountHeader } from './header.js';
import { mountMessageList } from './message-list.js';
import { mountModelPicker } from './model-picker.js';
import { mountLoading, mountSetup, mountSignIn, mountTrouble } from './panels.js';
import { mountSettings } from './settings.js';

/** @typedef {import('../state/store.js').State} State */
/** @typedef {import('../lib/i18n.js').Lang} Lang */
/** @typedef {import('../lib/i18n.js').Translate} Translate */
/** @typedef {Parameters<typeof translator>[0]} Texts */
/**
 * @typedef {{
 *   store: import('../state/store.js').Store,
 *   storage: import('../state/storage.js').PageStorage,
 *   chat: import('../state/chat.js').Chat,
 *   signIn: import('../state/sign-in.js').SignIn,
 *   local: import('../state/local.js').Local,
 * }} Parts
 */
/** What every view is given; `announce` speaks to screen readers, politely. @typedef {Parts & { t: Translate, announce: (text: string) => void }} Context */
/** @typedef {(place: HTMLElement, context: Context) => () => void} Mount gives back its unmount */

/**
 * @param {HTMLElement} place @param {Parts} parts
 * @param {(lang: Lang) => Promise<Texts>} loadTexts only the language in use is fetched
 */
export async function mountShell(place, parts, loadTexts) {
  const { store } = parts;
  applyTheme(store.get());
  let unmount = mountIn(place, parts, await loadTexts(store.get().lang));
  store.subscribe(async (state, before) => {
    applyTheme(state);
    if (state.lang === before.lang) return;
    const texts = await loadTexts(state.lang);
    if (store.get().lang !== state.lang) return;
    const focused = document.activeElement?.id;
    unmount();
    unmount = mountIn(place, parts, texts);
    if (focused) document.getElementById(focused)?.focus();
  });
}

/** @param {State} state */
function applyTheme({ theme }) {
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

/** @param {HTMLElement} place @param {Parts} parts @param {Texts} texts */
function mountIn(place, parts, texts) {
  const { store } = parts;
  const { lang } = store.get();
  const t = translator(texts);
  document.documentElement.lang = lang;
  const { element, part } = stamp('tpl-shell', t);
  const announcer = part('announcer', HTMLElement);
  /** @type {Context} */
  const context = { ...parts, t, announce: (text) => (announcer.textContent = text) };
  place.replaceChildren(element);

  const content = part('content', HTMLElement);
  const frame = [
    mountSettings(part('settings', HTMLElement), context),
    mountModelPicker(part('picker', HTMLElement), context),
    mountHeader(part('actions', HTMLElement), context),
  ];
  let screen = screenOf(store.get());
  let leave = screen(content, context);
  const unsubscribe = store.subscribe((state) => {
    const next = screenOf(state);
    if (next === screen) return;
    screen = next;
    leave();
    content.replaceChildren();
    leave = screen(content, context);
  });
  return () => {
    unsubscribe();
    leave();
    for (const unmount of frame) unmount();
  };
}

/** @param {State} state @returns {Mount} */
function screenOf({ key, models, modelsProblem }) {
  if (key === null) return mountSignIn;
  if (models === null) return modelsProblem ? mountTrouble : mountLoading;
  return models.some((model) => model.available) ? mountChat : mountSetup;
}

/** @type {Mount} */
function mountChat(place, context) {
  const { element, part } = stamp('tpl-chat', context.t);
  place.append(element);
  const unmounts = [
    mountMessageList(element, context),
    mountComposer(part('composer', HTMLElement), context),
  ];
  return () => unmounts.forEach((unmount) => unmount());
}
