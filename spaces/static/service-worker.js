// Without a network: the page from the first visit on, the networks once they have been fetched. What it hands out
// carries the headers that threads need, which plain file servers do not send.
const { version, shell, large } = globalThis.PARALLAX;
// Several such pages may live on one host, each in a folder of its own.
const PLACE = `parallax ${new URL(registration.scope).pathname}`;
const PAGE = `${PLACE} ${version}`;
const LARGE = `${PLACE} large`;
const ISOLATED = {
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

addEventListener("install", (event) => {
  const fresh = shell.map((file) => new Request(file, { cache: "reload" }));
  event.waitUntil(caches.open(PAGE).then((cache) => cache.addAll(fresh)));
});

addEventListener("activate", (event) => event.waitUntil(takeOver()));

/** The files of older versions go; those that are named by what they hold stay where they are still in use. */
async function takeOver() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(`${PLACE} `) && ![PAGE, LARGE].includes(name)).map((name) => caches.delete(name)));
  const cache = await caches.open(LARGE);
  const wanted = new Set(large.map((file) => new URL(file, registration.scope).href));
  for (const request of await cache.keys()) if (!wanted.has(request.url)) await cache.delete(request);
  await clients.claim();
}

addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method === "GET" && request.url.startsWith(registration.scope)) event.respondWith(answer(request));
});

async function answer(request) {
  const address = new URL(request.url);
  const page = request.mode === "navigate" && ["", "index.html"].includes(address.href.slice(registration.scope.length).split(/[?#]/)[0]);
  const found = (await caches.match(page ? registration.scope : request, { ignoreSearch: true })) ?? (await fetch(request));
  if (!found.ok || found.type === "opaque") return found;
  const headers = new Headers(found.headers);
  // The body is unpacked already.
  for (const name of ["content-encoding", "content-length"]) headers.delete(name);
  for (const [name, value] of Object.entries(ISOLATED)) headers.set(name, value);
  return new Response(found.body, { status: found.status, statusText: found.statusText, headers });
}
