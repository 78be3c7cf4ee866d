// The sheet's colours for those who draw on a canvas, and word of when they change.

const dark = matchMedia("(prefers-color-scheme: dark)");
const watchers = new Set();
const known = new Map();

function changed() {
  known.clear();
  for (const watcher of watchers) watcher();
}

dark.addEventListener("change", changed);
new MutationObserver(changed).observe(document.documentElement, { attributeFilter: ["data-theme"] });

/** What a custom property of page.css, like `--bid`, is as a colour now: `rgb(…)`. */
export function colour(name) {
  let found = known.get(name);
  if (found === undefined) {
    const probe = document.createElement("i"); // light-dark() and color-mix() are resolved in a used value alone
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    found = getComputedStyle(probe).color;
    probe.remove();
    known.set(name, found);
  }
  return found;
}

/** Call back whenever the colours change; what is returned ends that. */
export function onTheme(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}
