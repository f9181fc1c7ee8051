// Not a module, so that it runs before the first paint: a remembered theme must not flash in the other one.
try {
  const theme = JSON.parse(localStorage.getItem('tollgate.taste') ?? '{}')?.theme;
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Storage is switched off: the system's theme it is.
}
