// What the person wrote, with copy and, on the last one, edit.

import { stamp } from '../lib/dom.js';
import { isAnswering } from '../state/store.js';
import { copyWith } from './copy-button.js';

/** @typedef {import('../state/conversation.js').Question} Question */
/** @typedef {import('./shell.js').Context} Context */

/** @param {Context} context @returns {import('./message-list.js').MessageView} */
export function createQuestion(context) {
  const { store, chat, t } = context;
  const { element, part } = stamp('tpl-question', t);
  const text = part('text', HTMLElement);
  const editor = part('editor', HTMLFormElement);
  const field = part('edit-text', HTMLTextAreaElement);
  const edit = part('edit', HTMLButtonElement);
  const copy = part('copy', HTMLButtonElement);
  /** @type {Question} */
  let question = { id: 0, role: 'user', text: '' };

  /** @param {boolean} isEditing */
  function show(isEditing) {
    element.classList.toggle('editing', isEditing);
    editor.hidden = !isEditing;
    text.hidden = isEditing;
    part('actions', HTMLElement).hidden = isEditing;
    if (!isEditing) return edit.focus();
    field.value = question.text;
    field.focus();
  }

  function save() {
    if (!field.value.trim() || isAnswering(store.get())) return;
    chat.edit(question.id, field.value);
    document.getElementById('prompt')?.focus();
  }

  edit.addEventListener('click', () => show(true));
  copy.addEventListener('click', () => void copyWith(copy, question.text, context));
  part('cancel', HTMLButtonElement).addEventListener('click', () => show(false));
  field.addEventListener('keydown', (event) => {
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === 'Escape') show(false);
    if (event.key !== 'Enter' || event.shiftKey) return;
    event.preventDefault();
    save();
  });
  editor.addEventListener('submit', (event) => {
    event.preventDefault();
    save();
  });

  return {
    element,
    update(/** @type {Question} */ next, isLast) {
      if (next.text !== question.text || !text.textContent) text.textContent = next.text;
      question = next;
      edit.hidden = !isLast;
      if (!editor.hidden) {
        editor.hidden = true;
        text.hidden = false;
        part('actions', HTMLElement).hidden = false;
        element.classList.remove('editing');
      }
    },
  };
}
