"""Parallax: `streamlit run app.py`.

The pages are in `ui/`. Networks start to load with the server, before the first visitor asks.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# Before NumPy and TensorFlow come: OpenBLAS threads go on spinning after a product and take a core from the network.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import streamlit as st
from streamlit import config

from ui import bring, log_quietly, warm_up

if bring.allowed():
    config.set_option("server.maxUploadSize", bring.MOST_MEGABYTES)


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[None]:
    """Load the first task's networks in the background."""
    warm_up.start()
    yield


app = st.App("ui/navigation.py", lifespan=lifespan, on_script_error=log_quietly.say_sorry)
