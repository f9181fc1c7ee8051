// Texts by key, with `{name}` places. Pure: dictionaries come in as arguments.

/** @typedef {'en' | 'ko'} Lang */
/** @typedef {keyof typeof import('../i18n/en.js').default} TextKey */
/** @typedef {(key: TextKey, values?: Record<string, string | number>) => string} Translate */

/** @type {readonly Lang[]} */
export const LANGUAGES = ['en', 'ko'];

/**
 * @param {Record<TextKey, string>} dictionary
 * @returns {Translate}
 */
export function translator(dictionary) {
  return (key, values = {}) => dictionary[key].replace(/\{(\w+)\}/g, (place, name) => String(values[name] ?? place));
}

/**
 * The first of the browser's languages that we have, else English.
 * @param {readonly string[]} preferred
 * @returns {Lang}
 */
export function pickLanguage(preferred) {
  for (const tag of preferred) {
    const ours = LANGUAGES.find((lang) => lang === tag.toLowerCase().split('-')[0]);
    if (ours) return ours;
  }
  return 'en';
}
