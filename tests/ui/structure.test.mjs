// The page's structure: what may import what, what is preloaded, and what no script may do.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';

const PUBLIC = new URL('../../ui/public/', import.meta.url);
const read = (path) => readFileSync(new URL(path, PUBLIC), 'utf8');
const files = readdirSync(PUBLIC, { recursive: true }).map((path) => path.replaceAll('\\', '/'));
const scripts = files.filter((path) => path.endsWith('.js') && !path.startsWith('vendor/'));
const roomOf = (path) => (path.includes('/') ? path.split('/')[0] : 'app');

/** The modules that a script needs when it runs: type imports in comments do not count. */
function importsOf(path) {
  const found = read(path).matchAll(/^\s*(?:import|export)[^'"`]*?from '([^']+)'/gm);
  return [...found].map((match) => new URL(match[1], new URL(path, PUBLIC)).href.slice(PUBLIC.href.length));
}

const MAY_IMPORT = {
  lib: ['lib'],
  i18n: [],
  api: ['api', 'lib'],
  state: ['state', 'api', 'lib'],
  views: ['views', 'state', 'lib'],
  app: ['api', 'lib', 'state', 'views'],
};

test('imports point down the stairs only, without cycles', () => {
  const onPath = new Set();
  const done = new Set();
  const visit = (path) => {
    assert.ok(!onPath.has(path), `cycle at ${path}`);
    if (done.has(path)) return;
    onPath.add(path);
    for (const target of importsOf(path)) {
      assert.ok(scripts.includes(target), `${path} imports ${target}, which is not there`);
      assert.ok(MAY_IMPORT[roomOf(path)].includes(roomOf(target)), `${path} imports ${target}`);
      visit(target);
    }
    onPath.delete(path);
    done.add(path);
  };
  scripts.forEach(visit);
});

test('every module that app.js needs is preloaded, and no other', () => {
  const needed = new Set();
  const visit = (path) => importsOf(path).forEach((target) => needed.has(target) || (needed.add(target), visit(target)));
  visit('app.js');
  const preloaded = [...read('index.html').matchAll(/modulepreload" href="([^"]+)"/g)].map((match) => match[1]);
  assert.deepEqual(preloaded, [...needed].sort());
});

test('every style sheet is linked', () => {
  const linked = [...read('index.html').matchAll(/stylesheet" href="([^"]+)"/g)].map((match) => match[1]);
  assert.deepEqual(linked.toSorted(), files.filter((path) => path.endsWith('.css')).toSorted());
});

test('no HTML from strings, no evaluation, no inline script, style or handler', () => {
  const forbidden = /\b(?:innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|new Function|setHTMLUnsafe|createContextualFragment)\b/;
  for (const path of scripts) assert.doesNotMatch(read(path), forbidden, path);
  assert.doesNotMatch(read('index.html'), /<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)/);
});

test('only api fetches; nothing names another host', () => {
  for (const path of scripts.filter((name) => !['api', 'app'].includes(roomOf(name)))) assert.doesNotMatch(read(path), /\bfetch\(/, path);
  for (const path of files.filter((name) => /\.(js|css|html)$/.test(name))) {
    assert.doesNotMatch(read(path).replaceAll('http://www.w3.org/2000/svg', ''), /["'(]https?:\/\/\w/, path);
  }
});

test('app.js stays a short list of parts', () => {
  assert.ok(read('app.js').split('\n').length <= 61);
});
