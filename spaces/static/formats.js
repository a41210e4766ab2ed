// What the first bytes of a file say about its picture, before anything is decoded. Pure.

const text = (bytes, from, to) => String.fromCharCode(...bytes.subarray(from, to));

/**
 * {kind, width, height, whole, progressive} of a file: `kind` is "jpeg", "png", "gif", "webp", "heic", "tiff" or null;
 * width and height as stored, null where they stand too deep to be looked for; `whole`: its end is there.
 */
export function inspect(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const about = { kind: null, width: null, height: null, whole: true, progressive: false };
  if (bytes.length >= 24 && text(bytes, 1, 8) === "PNG\r\n\x1a\n") return { ...about, kind: "png", ...png(view) };
  if (bytes.length >= 4 && bytes[0] === 0xff && bytes[1] === 0xd8) return { ...about, kind: "jpeg", ...jpeg(view, bytes) };
  if (bytes.length >= 10 && text(bytes, 0, 4) === "GIF8") {
    return { ...about, kind: "gif", width: view.getUint16(6, true), height: view.getUint16(8, true) };
  }
  if (bytes.length >= 30 && text(bytes, 0, 4) === "RIFF" && text(bytes, 8, 12) === "WEBP") {
    return { ...about, kind: "webp", whole: view.getUint32(4, true) + 8 <= bytes.length, ...webp(view, bytes) };
  }
  if (bytes.length >= 12 && text(bytes, 4, 8) === "ftyp" && /^(hei|hev|mif1|msf1)/.test(text(bytes, 8, 12))) return { ...about, kind: "heic" };
  if (bytes.length >= 4 && /^(II\*\0|MM\0\*)$/.test(text(bytes, 0, 4))) return { ...about, kind: "tiff" };
  return about;
}

function png(view) {
  const size = { width: view.getUint32(16), height: view.getUint32(20) };
  // The chunk that every PNG ends with.
  for (let at = 8; at + 12 <= view.byteLength; at += 12 + view.getUint32(at)) {
    if (view.getUint32(at + 4) === 0x49454e44) return { ...size, whole: true };
  }
  return { ...size, whole: false };
}

function jpeg(view, bytes) {
  let size = {};
  for (let at = 2; at + 9 < bytes.length; ) {
    const marker = bytes[at + 1];
    if (bytes[at] !== 0xff || marker === 0xff) at += 1;
    else if (marker === 0xda) return { ...size, whole: ends(bytes, at) };
    else {
      // SOF0 to SOF15, without the tables between them.
      if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
        size = { height: view.getUint16(at + 5), width: view.getUint16(at + 7), progressive: marker === 0xc2 };
      }
      at += 2 + view.getUint16(at + 2);
    }
  }
  return { ...size, whole: false };
}

/** Within the data of a JPEG no FF D9 can stand but its end. */
function ends(bytes, at) {
  for (let found = bytes.indexOf(0xff, at + 2); found >= 0; found = bytes.indexOf(0xff, found + 1)) {
    if (bytes[found + 1] === 0xd9) return true;
  }
  return false;
}

function webp(view, bytes) {
  const kind = text(bytes, 12, 16);
  if (kind === "VP8X") {
    const three = (at) => 1 + bytes[at] + 256 * bytes[at + 1] + 65536 * bytes[at + 2];
    return { width: three(24), height: three(27) };
  }
  if (kind === "VP8 ") return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
  const bits = view.getUint32(21, true);
  return kind === "VP8L" ? { width: 1 + (bits & 0x3fff), height: 1 + ((bits >> 14) & 0x3fff) } : {};
}
