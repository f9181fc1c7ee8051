import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSafeLink, parseInline } from '../../../ui/public/lib/markdown-inline.js';

/** A tree as a short string: `strong(em(x) y)`. */
function told(nodes) {
  return nodes
    .map((node) => {
      if (node.type === 'text') return node.text;
      if (node.type === 'code') return `code(${node.text})`;
      if (node.type === 'break') return '/';
      return `${node.type === 'link' ? node.href : node.type}(${told(node.children)})`;
    })
    .join('');
}

const CASES = [
  ['**a *b* c**', 'strong(a em(b) c)'],
  ['***x*** _y_ ~~z~~', 'em(strong(x)) em(y) del(z)'],
  ['snake_case_name 2 * 3 * 4', 'snake_case_name 2 * 3 * 4'],
  ['**강조(text)**은 **"값"**은 *기울임*체', 'strong(강조(text))은 strong("값")은 em(기울임)체'],
  ['**open and *left', '**open and *left'],
  ['`a*b*` ``c`d`` `` ` ``', 'code(a*b*) code(c`d) code(`)'],
  ['a`b', 'a`b'],
  ['\\*no\\* \\q', '*no* \\q'],
  ['a\nb<br>c<br/>d', 'a/b/c/d'],
  ['[t](https://x.y/a_(b)?q=1 "title")', 'https://x.y/a_(b)?q=1(t)'],
  ['[**b** `c`](<https://x.y/a b>)', 'https://x.y/a b(strong(b) code(c))'],
  ['![picture](https://x.y/p.png)', 'https://x.y/p.png(picture)'],
  ['[https://a.b](https://a.b)', 'https://a.b(https://a.b)'],
  ['[x](javascript:alert(1)) [y](data:text/html,a) [z](/v1/keys) [w](//evil)', '[x](javascript:alert(1)) [y](data:text/html,a) [z](/v1/keys) [w](//evil)'],
  ['<https://q.w> <mailto:a@b.c> <b>', 'https://q.w(https://q.w) mailto:a@b.c(mailto:a@b.c) <b>'],
  ['see https://e.com/x. **https://e.com** https://e.com에서', 'see https://e.com/x(https://e.com/x). strong(https://e.com(https://e.com)) https://e.com(https://e.com)에서'],
  ['xhttps://e.com', 'xhttps://e.com'],
  ['$$a_1*b*$$ and \\(x_1*y*\\)', 'code($$a_1*b*$$) and code(\\(x_1*y*\\))'],
];

for (const [text, tree] of CASES) test(text, () => assert.equal(told(parseInline(text)), tree));

test('only web and mail addresses are links', () => {
  for (const href of ['https://a.b', 'HTTP://a.b', 'mailto:a@b.c']) assert.ok(isSafeLink(href), href);
  for (const href of ['javascript:x', ' javascript:x', 'vbscript:x', 'https:', 'https:///x', '#a', 'a', '']) {
    assert.ok(!isSafeLink(href), href);
  }
});

test('hostile input takes no long time', { timeout: 5000 }, () => {
  const pieces = ['*a ', '*a*', '[', '[a](', '`', '`a``', '\\(', '$$', '<http://', 'https://a', '~~', '_a_', '![', '('];
  for (const piece of pieces) assert.ok(parseInline(piece.repeat(20_000)).length > 0);
});
