// A press that copies, and says so for a moment.

import { copyText } from '../lib/clipboard.js';

/** @typedef {import('./shell.js').Context} Context */

const SAID_MS = 1600;

/**
 * Copy `text`, tell it by `button` and to screen readers. A button with an icon keeps its icon: its label changes.
 * @param {HTMLButtonElement} button @param {string} text @param {Pick<Context, 't' | 'announce'>} context
 */
export async function copyWith(button, text, { t, announce }) {
  const said = t((await copyText(text)) ? 'message.copied' : 'message.copyFailed');
  const icon = button.querySelector('use');
  announce(said);
  button.classList.add('said');
  if (icon) icon.setAttribute('href', '#i-check');
  else button.textContent = said;
  setTimeout(() => {
    button.classList.remove('said');
    if (icon) icon.setAttribute('href', '#i-copy');
    else button.textContent = t('message.copy');
  }, SAID_MS);
}
