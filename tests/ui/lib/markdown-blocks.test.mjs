import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseBlocks } from '../../../ui/public/lib/markdown-blocks.js';

const blocks = (text) => parseBlocks(text.split('\n')).blocks;
const paragraph = (text) => ({ type: 'paragraph', text });
const item = (...children) => ({ checked: null, children });

test('headings, rules and paragraphs', () => {
  assert.deepEqual(blocks('# One #\ntext\nmore\n\n---\n#no heading\nlast\n---'), [
    { type: 'heading', level: 1, text: 'One' },
    paragraph('text\nmore'),
    { type: 'rule' },
    paragraph('#no heading\nlast'),
    { type: 'rule' },
  ]);
});

test('a fence keeps its text as it is, and an open one runs to the end', () => {
  assert.deepEqual(blocks('```py title=x\n# a\n\n  **b**\n```\n~~~\n```\nopen'), [
    { type: 'code', lang: 'py', text: '# a\n\n  **b**' },
    { type: 'code', lang: '', text: '```\nopen' },
  ]);
});

test('lists nest, keep their start, and hold code', () => {
  assert.deepEqual(blocks('3. a\n   ```\n   x\n     y\n   ```\n4. b\n  - c'), [
    {
      type: 'list',
      ordered: true,
      start: 3,
      tight: true,
      items: [
        item(paragraph('a'), { type: 'code', lang: '', text: 'x\n  y' }),
        item(paragraph('b'), { type: 'list', ordered: false, start: 1, tight: true, items: [item(paragraph('c'))] }),
      ],
    },
  ]);
});

test('blank lines make a list loose; another sign makes another list', () => {
  const [first, second] = blocks('- a\n\n- b\n* c');
  assert.equal(first.tight, false);
  assert.equal(first.items.length, 2);
  assert.equal(second.items.length, 1);
});

test('task items', () => {
  const [list] = blocks('- [ ] open\n- [x] done');
  assert.deepEqual(list.items.map((entry) => entry.checked), [false, true]);
  assert.deepEqual(list.items[1].children, [paragraph('done')]);
});

test('a number inside running text begins no list', () => {
  assert.deepEqual(blocks('It was in\n1984. A year'), [paragraph('It was in\n1984. A year')]);
});

test('tables: alignment, escaped pipes, short and long rows, and where they end', () => {
  assert.deepEqual(blocks('before\n| a | b |\n|:--|--:|\n| 1 \\| 2 |\n| x | y | z |\n\nafter'), [
    paragraph('before'),
    { type: 'table', align: ['left', 'right'], head: ['a', 'b'], rows: [['1 | 2', ''], ['x', 'y']] },
    paragraph('after'),
  ]);
});

test('quotes hold blocks', () => {
  assert.deepEqual(blocks('> a\n> - b\nc'), [
    {
      type: 'quote',
      children: [paragraph('a'), { type: 'list', ordered: false, start: 1, tight: true, items: [item(paragraph('b'))] }],
    },
    paragraph('c'),
  ]);
});

test('HTML is text', () => {
  assert.deepEqual(blocks('<script>alert(1)</script>'), [paragraph('<script>alert(1)</script>')]);
});

test('deep nesting and long input neither overflow the stack nor take long', { timeout: 5000 }, () => {
  const nested = Array.from({ length: 3000 }, (_, depth) => `${' '.repeat(depth)}- a`).join('\n');
  for (const text of ['> '.repeat(5000), nested, `${'|'.repeat(50_000)}\n${'|-'.repeat(50_000)}`, '- '.repeat(20_000)]) {
    assert.ok(blocks(text).length > 0);
  }
});

test('starts are the lines on which blocks begin', () => {
  assert.deepEqual(parseBlocks(['', 'a', '', '# b', 'c']).starts, [1, 3, 4]);
});
