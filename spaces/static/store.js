// The large files: fetched once, with their progress, and kept for the next visit and for the plane.

/** Where they are kept; the service worker looks there too. */
const LARGE = `parallax ${new URL("./", import.meta.url).pathname} large`;

/** The bytes of a file, from the store or the network. `progress(bytes)` is called with what has come since. */
export async function fetched(file, bytes, progress) {
  // Without HTTPS there is no store.
  const store = await globalThis.caches?.open(LARGE).catch(() => null);
  const kept = await store?.match(file);
  if (kept) {
    const content = new Uint8Array(await kept.arrayBuffer());
    if (isWhole(content, bytes)) {
      progress(bytes);
      return content;
    }
    // The service worker would give it again.
    await store.delete(file);
  }
  const response = await fetch(file, { cache: "no-cache" });
  if (!response.ok) throw new Error(`${file}: ${response.status}`);
  const content = await collected(response, bytes, progress);
  if (!isWhole(content, bytes)) throw new Error(`${file}: ${content.length} bytes instead of ${bytes}`);
  // A full disk is no reason to stop.
  await store?.put(file, new Response(content)).catch(() => {});
  return content;
}

/** Whether it is the file: a server in trouble may give a page in its place, which would be kept for good. */
function isWhole(content, bytes) {
  // WebAssembly has been unpacked on the way.
  return content.length === bytes || [0x00, 0x61, 0x73, 0x6d].every((byte, at) => content[at] === byte);
}

async function collected(response, bytes, progress) {
  const parts = [];
  let come = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    // A server that packs files sends other lengths.
    progress(Math.min(value.length, Math.max(0, bytes - come)));
    come += value.length;
  }
  progress(Math.max(0, bytes - come));
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** What a gzip file holds; servers that unpack such files on the way send it as it is. */
export async function unpacked(content) {
  if (content[0] !== 0x1f || content[1] !== 0x8b) return content;
  const stream = new Blob([content]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
