"""Parallax as a Gradio app: the page for people, `/predict` and `/explain` for programs, MCP tools for agents.

python app.py, in a folder made by `make space-gradio`.
"""

import os
import tempfile
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

# Before Gradio, NumPy and TensorFlow come. Nobody is told that this runs, and no long list of who asked is kept and
# summed up after each answer; OpenBLAS threads go on spinning after a product and take a core from the network; uploads
# go where they are swept away.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("GRADIO_TEMP_DIR", str(Path(tempfile.gettempdir()) / "parallax-gradio"))

import gradio as gr
from anyio.to_thread import run_sync
from api import MOST_BYTES, Photograph, explain, pair, predict
from gradio import themes
from gradio.mcp import GradioMCPServer
from guard import Limit, sweep
from page import HERE, MARK, look, page
from starlette.middleware import Middleware

from ui import runs, warm_up

# Gradio imports it in its first answer, where it is installed, and two first answers at once meet it half imported.
with suppress(ImportError):
    import_module("matplotlib.pyplot")

AT_ONCE = 2
"""Questions that are worked on at the same time; the others wait for their turn."""
MOST_WAITING = 64
"""Questions that may wait; one more is told to come again."""
KEPT_SECONDS = 600
"""How long what the API was sent, and what it made, lies on the disk. What the page is given never does."""
MOST_SESSIONS = 50
"""Visitors whose last answer Gradio remembers, about 2 MB each; nothing here needs it."""
LAYERS = ["stem", *"1a 2a 2b 3a 3b 4a 4b 4c 5a 5b 5c 6a 6b 6c 6d 7a".split(), "top"]


def build() -> gr.Blocks:
    """The app, not yet listening."""
    first = pair()
    networks = {"concurrency_id": "networks", "concurrency_limit": AT_ONCE}
    with gr.Blocks(title="Parallax", fill_width=True, delete_cache=(60, KEPT_SECONDS)) as app:
        shown = page(first)
        # The page asks by itself when it has loaded; its answers carry the number of the question.
        looked = shown.submit(look, outputs=shown, api_visibility="private", trigger_mode="multiple", **networks)
        looked.failure(js="() => document.dispatchEvent(new Event('parallax:failed'))", api_visibility="private")
        with gr.Row(visible=False):
            photograph = Photograph(label="photograph")
            names = _names("runs", list(runs.cards()), first)
            layers, targets = _names("layers", LAYERS, []), _names("targets", _labels(), [])
            probabilities, maps = gr.JSON(label="probabilities"), gr.File(label="maps")
            picture = gr.Image(label="picture", format="png", type="pil")
            ask = gr.Button()
        ask.click(predict, [photograph, names], probabilities, api_name="predict", **networks)
        ask.click(
            explain,
            [photograph, names, layers, targets],
            [probabilities, maps, picture],
            api_name="explain",
            **networks,
        )
    return app.queue(max_size=MOST_WAITING)


def _names(label: str, choices: list[str], value: list[str]) -> gr.Dropdown:
    """A list of names; an unknown one gets the library's sentence, not Gradio's."""
    return gr.Dropdown(choices, value=value, label=label, multiselect=True, allow_custom_value=True)


def _labels() -> list[str]:
    return sorted({label for card in runs.cards().values() for label in card.labels})


async def _every_output(self: GradioMCPServer, job: Any) -> list[Any]:
    """The outputs of a tool, one by one.

    Gradio 6.31 hands several on as one text where an agent asks for no progress: there would be no picture to see.
    """
    result = await run_sync(job.result)
    return list(result) if isinstance(result, list | tuple) else [result]


GradioMCPServer._execute_tool_without_progress = _every_output


def theme() -> themes.Base:
    """Paper and ink as on the other pages, and no fonts from elsewhere."""
    fonts = ("Inter", "Segoe UI", "Helvetica Neue", "Arial", "sans-serif")
    return themes.Base(font=fonts, font_mono=("Consolas", "Menlo", "monospace")).set(
        body_background_fill="#fbfbf9",
        body_background_fill_dark="#111316",
        body_text_color="#1c1e21",
        body_text_color_dark="#eceae6",
        border_color_primary="#d5d5cf",
        border_color_primary_dark="#33373d",
        background_fill_secondary="#eeeeea",
        background_fill_secondary_dark="#1c1f24",
    )


if __name__ == "__main__":
    # After Gradio's own turn.
    sweep(Path(os.environ["GRADIO_TEMP_DIR"]), KEPT_SECONDS + 120)
    warm_up.start()
    build().launch(
        mcp_server=True,
        show_error=False,
        max_file_size=MOST_BYTES,
        # Base64 makes four bytes of three.
        app_kwargs={"middleware": [Middleware(Limit, most=MOST_BYTES * 4 // 3 + 100_000)]},
        state_session_capacity=MOST_SESSIONS,
        # Gradio would keep photographs in the browser for a list of former runs.
        run_history=False,
        ssr_mode=False,
        footer_links=["api"],
        favicon_path=MARK,
        theme=theme(),
        css_paths=HERE / "frame.css",
    )
