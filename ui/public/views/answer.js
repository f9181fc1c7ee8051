// One answer: thoughts, text, what went wrong, and the receipt. It stands alone, so that several can stand side by side.

import { stamp } from '../lib/dom.js';
import { MarkdownView } from '../lib/markdown.js';
import { copyWith } from './copy-button.js';
import { drawMeter } from './meter.js';
import { problemDetail, problemText } from './problem-text.js';

/** @typedef {import('../state/conversation.js').Answer} Answer */
/** @typedef {import('../lib/i18n.js').TextKey} TextKey */
/** @typedef {import('./shell.js').Context} Context */

/** @param {Context} context @returns {import('./message-list.js').MessageView} */
export function createAnswer(context) {
  const { store, chat, signIn, t, announce } = context;
  const { element, part } = stamp('tpl-answer', t);
  const prose = part('prose', HTMLElement);
  const markdown = new MarkdownView(prose, {
    copy: t('message.copy'),
    code: t('message.code'),
    table: t('message.table'),
  });
  const thoughts = part('reasoning-text', HTMLElement).appendChild(document.createTextNode(''));
  /** @type {Answer | null} */
  let shown = null;

  /** @param {string} name @param {(answer: Answer, button: HTMLButtonElement) => void} action */
  function onPress(name, action) {
    const button = part(name, HTMLButtonElement);
    button.addEventListener('click', () => shown && action(shown, button));
  }
  onPress('copy', (answer, button) => void copyWith(button, answer.text, context));
  onPress('regenerate', ({ id }) => chat.regenerate(id));
  onPress('retry', ({ id }) => chat.regenerate(id));
  onPress('sign-in', ({ problem }) => signIn.signOut(problem));
  prose.addEventListener('click', (event) => {
    const button = event.target instanceof Element ? event.target.closest('[data-action="copy-code"]') : null;
    if (!(button instanceof HTMLButtonElement)) return;
    void copyWith(button, button.closest('.code')?.querySelector('code')?.textContent ?? '', context);
  });

  /** Screen readers hear an answer block by block, as each is complete. @param {Answer} answer */
  function drawText(answer) {
    const wasRunning = shown?.status === 'running';
    const finished = markdown.update(answer.text);
    if (answer.status === 'running' && !shown) announce(t('chat.answering', { model: answer.model }));
    else if (answer.status === 'running' && finished.length) announce(finished.join('\n'));
    else if (wasRunning) announce([...finished, markdown.tail, endWords(answer, t)].filter(Boolean).join('\n'));
  }

  /** @param {Answer} answer */
  function drawThoughts({ reasoning, text, status }) {
    const isThinking = status === 'running' && !text;
    part('reasoning', HTMLElement).hidden = !reasoning;
    part('reasoning-title', HTMLElement).textContent = t(isThinking ? 'message.thinking' : 'message.thoughts');
    thoughts.appendData(reasoning.slice(thoughts.length));
  }

  /** @param {Answer} answer */
  function drawFailure({ problem, status }) {
    part('failure', HTMLElement).hidden = status !== 'failed';
    if (!problem) return;
    part('failure-text', HTMLElement).textContent = problemText(problem, t);
    part('failure-detail', HTMLElement).textContent = problemDetail(problem, t);
    part('sign-in', HTMLElement).hidden = problem.status !== 401;
  }

  /** @param {string} name @param {string} text '' hides it */
  function line(name, text) {
    const place = part(name, HTMLElement);
    place.textContent = text;
    place.hidden = !text;
  }

  return {
    element,
    update(/** @type {Answer} */ answer, isLast) {
      const isRunning = answer.status === 'running';
      element.classList.toggle('running', isRunning);
      element.classList.toggle('last', isLast);
      part('model', HTMLElement).textContent = answer.model;
      part('waiting', HTMLElement).hidden = !isRunning || answer.text !== '';
      drawThoughts(answer);
      drawText(answer);
      line('note', noteOf(answer, t));
      line('dropped', answer.dropped.length ? t('message.dropped', { fields: answer.dropped.join(', ') }) : '');
      drawFailure(answer);
      part('receipt', HTMLElement).hidden = isRunning || (answer.status === 'failed' && !answer.text);
      if (!isRunning) part('meter', HTMLElement).replaceChildren(...drawMeter(answer, store.get().lang, t));
      part('regenerate', HTMLElement).hidden = !isLast || answer.status === 'failed';
      part('retry', HTMLElement).hidden = !isLast;
      shown = answer;
    },
  };
}

/** How an answer ended, for the ear. @param {Answer} answer @param {Context['t']} t */
function endWords(answer, t) {
  if (answer.problem) return problemText(answer.problem, t);
  return noteOf(answer, t) || t('chat.finished');
}

/** What the reader must know of how it ended. @param {Answer} answer @param {Context['t']} t */
function noteOf({ status, finish, text }, t) {
  if (status === 'stopped') return t('message.stopped');
  if (status === 'cut') return t('message.cut');
  if (status !== 'done') return '';
  if (finish === 'length') return t('message.length');
  if (finish === 'content_filter') return t('message.filtered');
  return text ? '' : t('message.empty');
}
