"""viewer.js and its modules as one module, for hosts that take only one."""

import re
from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).parent
IMPORT = re.compile(r'^import .* from "\./(?P<name>[\w.-]+)";$', re.MULTILINE)


@lru_cache(maxsize=1)
def script() -> str:
    """The viewer as one ES module without imports; its names are as in viewer.js."""
    taken: list[str] = []

    def take(name: str) -> None:
        if name in taken:
            return
        source = (FOLDER / name).read_text(encoding="utf-8")
        for match in IMPORT.finditer(source):
            take(match["name"])
        taken.append(name)

    take("viewer.js")
    parts = [IMPORT.sub("", (FOLDER / name).read_text(encoding="utf-8")) for name in taken]
    return "\n".join(parts)


@lru_cache(maxsize=1)
def style() -> str:
    """The viewer's style sheet."""
    return (FOLDER / "viewer.css").read_text(encoding="utf-8")
