// A problem in plain words, and the gateway's own words beside them.

/** @typedef {import('../state/conversation.js').Problem} Problem */
/** @typedef {import('../lib/i18n.js').Translate} Translate */
/** @typedef {import('../lib/i18n.js').TextKey} TextKey */

/** @type {Record<number, TextKey>} */
const KNOWN = {
  0: 'problem.0',
  401: 'problem.401',
  402: 'problem.402',
  403: 'problem.403',
  404: 'problem.404',
  413: 'problem.413',
  429: 'problem.429',
  502: 'problem.502',
  503: 'problem.503',
  504: 'problem.504',
};

/** @param {Problem} problem @param {Translate} t */
export function problemText(problem, t) {
  const words = t(KNOWN[problem.status] ?? (problem.status >= 500 ? 'problem.500' : 'problem.400'));
  return problem.retryAfter === null ? words : `${words} ${t('problem.retryAfter', { seconds: problem.retryAfter })}`;
}

/** The gateway's message and the request's id, for whoever mends it. @param {Problem} problem @param {Translate} t */
export function problemDetail({ message, requestId }, t) {
  return [message, requestId && t('problem.requestId', { id: requestId })].filter(Boolean).join(' · ');
}
