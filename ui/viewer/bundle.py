"""A script and its modules as one module, for hosts that take only one."""

import re
from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).parent
IMPORT = re.compile(r'^import .* from "(?P<path>\.{1,2}/[\w./-]+)";$', re.MULTILINE)

STYLES = ("viewer", "depth", "sizes", "media")
"""The viewer's style sheets in their order: what fits sizes overrules the first two, what fits paper all of them."""


@lru_cache
def script(entry: Path = FOLDER / "viewer.js") -> str:
    """A script, by default the viewer, as one ES module without imports; its names are as in the file."""
    taken: dict[Path, str] = {}

    def take(path: Path) -> None:
        if path in taken:
            return
        source = path.read_text(encoding="utf-8")
        for match in IMPORT.finditer(source):
            take((path.parent / match["path"]).resolve())
        taken[path] = IMPORT.sub("", source)

    take(entry.resolve())
    return "\n".join(taken.values())


@lru_cache(maxsize=1)
def style() -> str:
    """The viewer's style sheets as one."""
    return "\n".join((FOLDER / f"{name}.css").read_text(encoding="utf-8") for name in STYLES)
