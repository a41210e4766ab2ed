"""The About page: what a map is and is not, the runs, what happens to a photograph, the limits."""

import inspect

import streamlit as st

from explain import photo
from explain.formulas import FORMULAS
from explain.methods import DEFAULT
from ui import frame, runs
from ui.shown import MOST_MEGABYTES

IDEA = """
## One photograph, two trainings

Two copies of one network began with the same weights and saw the same photographs in the same order. One was trained
with SGD, the other with Adam, each at the best of the learning rates that were tried for it; on Food-101 each has its
gradient cut in its own way, too. Nothing else differs. Parallax shows both the same photograph: what each says, and at
every depth where the evidence for it lies. Where the two agree, the rings on the depth axis lie on each other; where
they part, the rings part.
"""

MAPS = """
## What a map is

- **Evidence for a class, cell by cell**, in units of that class's logit: how much the score would change with what
  a layer found at each place. It is signed: some places speak against the class.
- **At the layer's own resolution.** Early layers have many small cells that each see little; `top` has 7 by 7 in a
  square of 224 pixels, 5 by 5 in one of 160, that see almost everything. Every cell is drawn at the middle of what it
  really sees.
- **A strength stands beside every map**, for a map is scaled for the eye: a faint map and a strong one can look alike.

## What a map is not

- Not where an animal *is*: it is where this network found reasons. A right answer can have odd reasons.
- Not a proof. Between `stem` and `7a` the map is a linear approximation of what follows; only at `top` is it exact:
  there its sum, plus the bias, *is* the logit.
- Not a judgement on optimizers. Two seeds of one optimizer differ too; compare with that before you conclude.
"""

PRIVACY = f"""
## What happens to a photograph

It stays in this server's memory while the page is open and is gone when the page closes. It is not written to a disk,
not logged, not sent anywhere. The address names a sample, never a photograph of yours.

## The limits

- JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP and TIFF up to {MOST_MEGABYTES} MB and {photo.MAX_MEGAPIXELS} megapixels; of a
  moving picture the first frame.
- The network sees the centre square, at the size that the page shows. Where it learned from small pictures, the
  square is first brought to theirs: the finer detail is gone, as the page shows too.
- A network that knows only cats and dogs calls everything one of them.
- Probabilities are the networks' own and not calibrated.
"""


def page() -> None:
    """Draw the page."""
    with frame.toolbar():
        pass
    with st.container(key="about"):
        left, right = st.columns([5, 4], gap="large")
        with left:
            st.markdown(IDEA + MAPS + PRIVACY)
        with right:
            _equations()
            _cards()


def _equations() -> None:
    st.markdown("## The equations")
    words = {name: inspect.getdoc(formula) or name for name, formula in FORMULAS.items()}
    named = {name: told.partition(":")[0] for name, told in words.items()}
    first = list(words).index(DEFAULT)
    name = frame.choose("formula", "Formula", list(words), first, named.__getitem__, label_visibility="collapsed")
    # As wide as the page has room for, not as the source.
    paragraphs = (" ".join(paragraph.split()) for paragraph in words[name].split("\n\n"))
    st.code("\n\n".join(paragraphs), language=None, wrap_lines=True)


def _cards() -> None:
    st.markdown("## The runs")
    for name in (name for task in runs.tasks() for name in runs.runs_of(task)):
        card = runs.cards()[name]
        test = card.results.get("test")
        told = f", {100 * test['accuracy']:.1f} % of {test['n']:,} test photographs" if test else ""
        with st.expander(f"{runs.task_title(card.task)}: {runs.title(name)}{told}"):
            st.json(vars(card), expanded=1)


page()
