"""Load the first task's networks before anybody asks for them."""

import logging
import threading

from explain.errors import ExplainError

log = logging.getLogger("parallax")
done = threading.Event()


def start() -> None:
    """Begin in the background; `done` is set at the end, whether it went well or not."""
    threading.Thread(target=_load, name="warm-up", daemon=True).start()


def _load() -> None:
    from models import ModelError
    from ui import runs

    try:
        for name in runs.runs_of(runs.tasks()[0])[:2]:
            runs.explainer(name)
    except (ExplainError, ModelError, IndexError) as error:
        log.warning("Nothing is loaded ahead: %s", error)
    finally:
        done.set()
