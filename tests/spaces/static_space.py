"""The static Space, assembled, and a bare page to ask its modules."""

import base64
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]


def assembled(folder: Path) -> Path:
    """The Space of the shipped pair, in a folder."""
    from ui.viewer import static

    if not static.RUNTIME.is_dir():
        tools = Path(sys.executable).parent
        npm = shutil.which("npm", path=str(tools)) or shutil.which("npm")
        if npm is None:
            pytest.skip("needs onnxruntime-web: run npm ci in spaces/static")
        command = [npm, "ci", "--ignore-scripts", "--loglevel", "error"]
        subprocess.run(command, cwd=static.PAGE, check=True, timeout=180)
    static.assemble(folder)
    return folder


class Bench:
    """The Space's own modules at work on an empty page of its server."""

    SETUP = """async () => {
      const { Crew } = await import("/crew.js");
      const evidence = await import("/evidence.js");
      const resample = await import("/resample.js");
      const space = await (await fetch("/space.json")).json();
      const crew = new Crew(space, () => {});
      const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      const text = (array) => {
        const all = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
        let letters = "";
        for (let k = 0; k < all.length; k += 8192) letters += String.fromCharCode(...all.subarray(k, k + 8192));
        return btoa(letters);
      };
      Object.assign(globalThis, { crew, space, evidence, resample, bytes, text });
      await crew.ready();
      return crossOriginIsolated;
    }"""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        page.goto(f"{url}/no such page")
        self.isolated = page.evaluate(self.SETUP)

    def see(self, content: bytes, name: str) -> dict[str, Any]:
        """What networks see of a file: {pixels (S, S, 3) uint8, width, height}, or {refused: a sentence}."""
        script = """async ([content, name]) => {
          globalThis.seen = await crew.see(new File([bytes(content)], name), name);
          return seen.refused ? seen : { ...seen, pixels: text(seen.pixels) };
        }"""
        found = self.page.evaluate(script, [base64.b64encode(content).decode(), name])
        if "pixels" in found:
            pixels = np.frombuffer(base64.b64decode(found["pixels"]), np.uint8)
            found["pixels"] = pixels.reshape(*[round((pixels.size / 3) ** 0.5)] * 2, 3)
        return found

    def look(self, layer: str | None = None) -> list[dict[str, Any]]:
        """What both runs say of the picture seen last: logits, and maps (rows x cells) by layer."""
        script = """async (layer) => {
          globalThis.answers = await crew.look(seen.pixels, layer);
          return answers.map(({ logits, raw }) => {
            const maps = Object.fromEntries(Object.entries(raw).map(([name, map]) => [name, text(map)]));
            return { logits, maps };
          });
        }"""
        found = self.page.evaluate(script, layer)
        for answer in found:
            answer["maps"] = {
                name: np.frombuffer(base64.b64decode(one), np.float32) for name, one in answer["maps"].items()
            }
        return found

    def payload(self, name: str) -> tuple[dict[str, Any], list[bytes]]:
        """What the viewer is given of the picture seen and looked at last."""
        script = """(name) => {
          const { meta, blobs } = evidence.payload(space, { name, ...seen }, answers, { key: "one" });
          const plain = (_, value) => (ArrayBuffer.isView(value) ? [...value] : value);
          return [JSON.parse(JSON.stringify(meta, plain)), blobs.map(text)];
        }"""
        meta, blobs = self.page.evaluate(script, name)
        return meta, [base64.b64decode(blob) for blob in blobs]

    def resize(self, pixels: np.ndarray, width: int, height: int) -> np.ndarray:
        """A picture (H, W, 3) uint8 scaled by the browser's twin of Pillow's bilinear resize."""
        script = """([pixels, width, height, newWidth, newHeight]) =>
          text(resample.resize(bytes(pixels), width, height, newWidth, newHeight))"""
        content = base64.b64encode(np.ascontiguousarray(pixels).tobytes()).decode()
        found = self.page.evaluate(script, [content, pixels.shape[1], pixels.shape[0], width, height])
        return np.frombuffer(base64.b64decode(found), np.uint8).reshape(height, width, 3)
