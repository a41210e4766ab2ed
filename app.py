"""Parallax: `streamlit run app.py`.

The pages are in `ui/`. Networks start to load with the server, before the first visitor asks.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st

from ui import log_quietly, warm_up


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[None]:
    """Load the first task's networks in the background."""
    warm_up.start()
    yield


app = st.App("ui/navigation.py", lifespan=lifespan, on_script_error=log_quietly.say_sorry)
