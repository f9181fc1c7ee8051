// The conversation: one view per message, drawn at most once per animation frame, scrolled along while the reader is at
// the end of it.

import { make, oncePerFrame, partsOf, stamp } from '../lib/dom.js';
import { createAnswer } from './answer.js';
import { createQuestion } from './question.js';

/** @typedef {import('../state/conversation.js').Message} Message */
/** @typedef {import('../lib/i18n.js').TextKey} TextKey */
/** @typedef {import('./shell.js').Context} Context */
/** @typedef {import('./shell.js').Mount} Mount */
/** `isLast`: nothing after it can be lost by changing it. @typedef {{ element: HTMLElement, update: (message: any, isLast: boolean) => void }} MessageView */

/** How near to the end, in pixels, still counts as reading along. */
const NEAR = 48;

/** @type {readonly [TextKey, TextKey][]} */
const SUGGESTIONS = [
  ['welcome.one', 'welcome.onePrompt'],
  ['welcome.two', 'welcome.twoPrompt'],
  ['welcome.three', 'welcome.threePrompt'],
];

/** @type {Mount} */
export function mountMessageList(place, context) {
  const { store, chat, t } = context;
  const part = partsOf(place);
  const scroller = part('scroller', HTMLElement);
  const container = part('messages', HTMLElement);
  const latest = part('latest', HTMLButtonElement);
  /** @type {Map<number, { view: MessageView, message: Message, isLast: boolean }>} */
  const shown = new Map();
  let isFollowing = true;

  function draw() {
    const { messages } = store.get();
    place.classList.toggle('empty', messages.length === 0);
    for (const [id, { view, message }] of shown) {
      const now = messages.find((candidate) => candidate.id === id);
      if (now?.role === message.role) continue;
      view.element.remove();
      shown.delete(id);
    }
    container.querySelector('.welcome')?.remove();
    if (messages.length === 0) container.append(drawWelcome(context));
    const lastQuestion = messages.findLast((message) => message.role === 'user');
    for (const message of messages) drawMessage(message, message === lastQuestion || message === messages.at(-1));
    if (isFollowing && messages.length) toEnd();
  }

  /** @param {Message} message @param {boolean} isLast */
  function drawMessage(message, isLast) {
    const known = shown.get(message.id);
    if (known?.message === message && known.isLast === isLast) return;
    const view = known?.view ?? createMessage(message, context);
    view.update(message, isLast);
    if (!known) container.append(view.element);
    shown.set(message.id, { view, message, isLast });
  }

  function toEnd() {
    scroller.scrollTop = scroller.scrollHeight;
  }

  function onScroll() {
    isFollowing = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR;
    latest.hidden = isFollowing || shown.size === 0;
  }

  const frame = oncePerFrame(draw);
  const resized = new ResizeObserver(() => (isFollowing && shown.size ? toEnd() : onScroll()));
  resized.observe(scroller);
  scroller.addEventListener('scroll', onScroll, { passive: true });
  latest.addEventListener('click', () => {
    isFollowing = true;
    toEnd();
  });
  container.addEventListener('click', (event) => {
    const suggestion = event.target instanceof Element ? event.target.closest('[data-prompt]') : null;
    if (suggestion instanceof HTMLElement) chat.send(suggestion.dataset.prompt ?? '');
  });

  draw();
  const unsubscribe = store.subscribe((state, before) => {
    if (state.messages === before.messages) return;
    if (state.messages.length > before.messages.length) isFollowing = true;
    frame.ask();
  });
  return () => {
    unsubscribe();
    frame.cancel();
    resized.disconnect();
  };

  /** @param {Context} context */
  function drawWelcome(context) {
    const { element, part } = stamp('tpl-welcome', t);
    const list = part('suggestions', HTMLElement);
    for (const [title, prompt] of SUGGESTIONS) {
      const button = make('button', 'suggestion');
      button.type = 'button';
      button.dataset.prompt = context.t(prompt);
      button.append(make('strong', '', context.t(title)), make('span', '', context.t(prompt)));
      const item = make('li', '');
      item.append(button);
      list.append(item);
    }
    return element;
  }
}

/** @param {Message} message @param {Context} context @returns {MessageView} */
function createMessage(message, context) {
  return message.role === 'user' ? createQuestion(context) : createAnswer(context);
}
