"""An unforeseen error: its traceback for the server's log, one sentence for the visitor."""

import logging
import uuid

log = logging.getLogger("parallax")


def noted(error: BaseException) -> str:
    """Log an error under a number, and say that number in a sentence."""
    number = uuid.uuid4().hex[:8]
    log.error("Error %s", number, exc_info=error)
    return f"Something went wrong on our side, and it is noted as {number}."
