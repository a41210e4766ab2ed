"""Parallax: `streamlit run app.py`.

The pages are in `ui/`. Networks start to load with the server, before the first visitor asks.
"""

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# Before NumPy and TensorFlow come: OpenBLAS threads go on spinning after a product and take a core from the network.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# A full disk has no place for temporary files, and TensorFlow asks for one when it is imported, though it puts nothing
# there.
try:
    tempfile.gettempdir()
except FileNotFoundError:
    tempfile.tempdir = os.sep

import streamlit as st
from starlette.formparsers import MultiPartParser
from streamlit import config

from ui import bring, log_quietly, warm_up

if bring.allowed():
    config.set_option("server.maxUploadSize", bring.MOST_MEGABYTES)
# What is uploaded stays in memory, as the About page promises; by itself Starlette puts all but the smallest files on
# the disk, and fails where that is full.
MultiPartParser.spool_max_size = (config.get_option("server.maxUploadSize") + 1) << 20


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[None]:
    """Load the first task's networks in the background."""
    warm_up.start()
    yield


app = st.App("ui/navigation.py", lifespan=lifespan, on_script_error=log_quietly.say_sorry)
