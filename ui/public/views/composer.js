// Where a person writes. Enter sends, Shift+Enter starts a line; while an answer comes, the button stops it.

import { partsOf, stamp } from '../lib/dom.js';
import { isAnswering } from '../state/store.js';

/** @typedef {import('./shell.js').Mount} Mount */

/** @type {Mount} */
export function mountComposer(place, { store, chat, t }) {
  const { element, part } = stamp('tpl-composer', t);
  const text = part('text', HTMLTextAreaElement);
  const send = part('send', HTMLButtonElement);
  const icon = partsOf(send)('send-icon', SVGUseElement);
  const isTouch = matchMedia('(pointer: coarse)').matches;

  function submit() {
    if (!text.value.trim() || isAnswering(store.get())) return;
    const question = text.value;
    text.value = '';
    store.set({ draft: '' });
    fit();
    chat.send(question);
  }

  /** Grow with the text, as `field-sizing: content` does where it is known. */
  function fit() {
    if (CSS.supports('field-sizing', 'content')) return;
    text.style.height = 'auto';
    text.style.height = `${text.scrollHeight}px`;
  }

  function draw() {
    const answering = isAnswering(store.get());
    const label = t(answering ? 'composer.stop' : 'composer.send');
    send.classList.toggle('stop', answering);
    // Never disabled: it would lose the focus, and with it the keyboard's place.
    send.classList.toggle('idle', !answering && !text.value.trim());
    send.setAttribute('aria-label', label);
    send.title = label;
    icon.setAttribute('href', answering ? '#i-stop' : '#i-send');
  }

  text.addEventListener('keydown', (event) => {
    // A Hangul syllable being composed is finished by Enter too; 229 is what Safari still sends for that key.
    const isComposing = event.isComposing || event.keyCode === 229;
    // A touch keyboard has no Shift+Enter: there Enter is the new line, and the button sends.
    if (event.key !== 'Enter' || event.shiftKey || isComposing || isTouch) return;
    event.preventDefault();
    submit();
  });
  text.addEventListener('input', () => {
    fit();
    store.set({ draft: text.value });
  });
  part('form', HTMLFormElement).addEventListener('submit', (event) => {
    event.preventDefault();
    if (isAnswering(store.get())) chat.stop();
    else submit();
  });

  place.append(element);
  text.value = store.get().draft;
  fit();
  draw();
  if (!isTouch) text.focus();
  return store.subscribe((state, before) => {
    if (state.messages !== before.messages || state.draft !== before.draft) draw();
  });
}
