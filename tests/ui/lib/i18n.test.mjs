import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import en from '../../../ui/public/i18n/en.js';
import ko from '../../../ui/public/i18n/ko.js';
import { pickLanguage, translator } from '../../../ui/public/lib/i18n.js';

const PUBLIC = new URL('../../../ui/public/', import.meta.url);
const places = (text) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort();

test('both dictionaries have the same keys and places', () => {
  assert.deepEqual(Object.keys(ko), Object.keys(en));
  for (const key of Object.keys(en)) assert.deepEqual(places(ko[key]), places(en[key]), key);
});

test('every Korean text is Korean', () => {
  for (const [key, text] of Object.entries(ko)) if (key !== 'signIn.placeholder') assert.match(text, /[가-힣]/, key);
});

test('every key of the markup exists, and every text is used', () => {
  const html = readFileSync(new URL('index.html', PUBLIC), 'utf8');
  const used = new Set([...html.matchAll(/data-t(?:-\w+)?="([^"]+)"/g)].map((match) => match[1]));
  for (const key of used) assert.ok(key in en, key);
  const scripts = readdirSync(new URL('views/', PUBLIC)).filter((name) => name.endsWith('.js'));
  const code = scripts.map((name) => readFileSync(new URL(`views/${name}`, PUBLIC), 'utf8')).join('\n');
  for (const key of Object.keys(en)) assert.ok(used.has(key) || code.includes(`'${key}'`), `${key} is not used`);
});

test('places are filled, unknown ones stay', () => {
  const t = translator({ greet: 'Hi {name}, {other}' });
  assert.equal(t('greet', { name: '$&' }), 'Hi $&, {other}');
});

test('the first known language of the browser is taken', () => {
  assert.equal(pickLanguage(['fr-FR', 'ko-KR', 'en']), 'ko');
  assert.equal(pickLanguage(['EN-gb', 'ko']), 'en');
  assert.equal(pickLanguage(['ja']), 'en');
});
