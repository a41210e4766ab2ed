// What is being looked at, in the part of the page's address behind the #.

/** That part of an address: of the page's, where no other is given. */
export function readHash(address = globalThis.location?.href ?? "about:blank") {
  return new URL(address).hash;
}

/** The words of such a part, `layer=5c&class=cat`: of the page's, where none is given. */
export function wordsOf(hash = readHash()) {
  return new URLSearchParams(String(hash ?? "").replace(/^#/, ""));
}

/** Takes that part of each address that somebody gives the page: also of one that the page has overwritten since. */
export function watchHash(take) {
  globalThis.addEventListener("hashchange", ({ newURL }) => take(readHash(newURL || undefined)));
}

/** Puts it into the address of the page without a new entry in its history. */
export function writeHash(hash) {
  const { pathname, search } = globalThis.location;
  globalThis.history.replaceState(globalThis.history.state, "", `${pathname}${search}#${hash}`);
}

/**
 * Keeps that part in the address of a page where somebody else writes the words before it and drops what follows, as
 * Streamlit does: {read(), write(hash)}. What the page was opened with is known also when it has gone by now.
 */
export function keepHash() {
  const page = globalThis.location.pathname;
  const here = () => globalThis.location.pathname === page;
  const [opened] = performance.getEntriesByType("navigation");
  let kept = opened && new URL(opened.name).pathname === page ? readHash(opened.name).slice(1) : "";
  globalThis.navigation?.addEventListener("currententrychange", () => {
    if (!here()) kept = "";
    else if (kept && !readHash()) writeHash(kept);
  });
  return {
    read: () => readHash() || kept,
    write: (hash) => {
      // Whoever is told late may be on another page by now.
      if (here()) writeHash((kept = hash));
    },
  };
}
