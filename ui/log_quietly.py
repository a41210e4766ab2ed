"""What a visitor sees when a page breaks: one sentence, and a number that finds the error in the server's log."""

import logging
import uuid

import streamlit as st

log = logging.getLogger("parallax")


def say_sorry(error: Exception) -> bool:
    """Log an unforeseen error with its traceback and tell the visitor its number."""
    number = uuid.uuid4().hex[:8]
    log.error("Error %s", number, exc_info=error)
    st.error(f"Something went wrong on our side, and it is noted as {number}. Reload the page to go on.")
    return True
