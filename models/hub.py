"""Runs from the Hugging Face Hub, as pinned snapshots."""

import re
from contextlib import suppress
from pathlib import Path

from models.errors import ModelError

NAME = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
PATTERNS = ["card.json", "history.csv", "labels.json", "config.json", "metadata.json", "model.weights.h5", "*.keras"]
LAYOUTS = [("card.json",), ("config.json", "model.weights.h5")]
"""What makes a repository a run of ours, or a model as `keras.saving` writes it to the Hub."""
MOST_BYTES = 1 << 30
"""Of what is fetched at once; the largest EfficientNet has 0.3 GB."""
TOKEN_REFUSED = "The Hub does not accept your token: log in again with `hf auth login`."


def snapshot(name: str) -> Path:
    """Download a run, or find it in the cache.

    A branch or tag is asked for anew each time, so that it is what the Hub has today; a commit never changes, and
    is read from the cache without asking. Where the Hub cannot be reached, what was fetched before is used.

    Args:
        name: `hf://user/repo`, or `hf://user/repo@revision` with a branch, a tag or a whole commit hash.

    Returns:
        The folder of one commit, or the one `.keras` file in it where there is no card and nothing that Keras wrote.

    Raises:
        ModelError: if the name has another form, there is no such run, it is too large, or it is neither cached nor to
            be fetched.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        DryRunError,
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    found = NAME.fullmatch(name)
    if found is None:
        raise ModelError(f"A run on the Hub is named hf://user/repo or hf://user/repo@revision; {name!r} is not.")
    repo, revision = found["repo"], found["revision"]
    try:
        with suppress(DryRunError):  # the Hub is silent: what the cache has is not too large
            files = snapshot_download(repo, revision=revision, allow_patterns=PATTERNS, dry_run=True)
            size = sum(file.file_size or 0 for file in files if file.will_download)
            if size > MOST_BYTES:
                raise ModelError(f"{repo} on the Hub is {size / 1e9:,.1f} GB; 1 GB is the most that is fetched.")
        folder = Path(snapshot_download(repo, revision=revision, allow_patterns=PATTERNS))
    except HFValidationError:
        raise ModelError(f"{repo!r} cannot be the name of a repository on the Hub.") from None
    except GatedRepoError as error:
        raise ModelError(f"{repo} on the Hub asks for permission first: accept its terms there and log in.") from error
    except RevisionNotFoundError as error:
        raise ModelError(f"{repo} on the Hub has no revision {revision!r}.") from error
    except RepositoryNotFoundError as error:
        raise ModelError(f"There is no {repo} on the Hub, or it is private.") from error
    except LocalEntryNotFoundError as error:
        raise ModelError(f"{repo} is not in the cache, and the Hub cannot be reached.") from error
    except HfHubHTTPError as error:
        # Even of what is open to all.
        refused = error.response.status_code == 401
        raise ModelError(TOKEN_REFUSED if refused else _broken_off(repo)) from error
    except ModelError:
        raise
    except Exception as error:
        # A line that breaks, or a page of somebody else's in its place, has no class of its own.
        raise ModelError(_broken_off(repo)) from error
    if any(all((folder / name).is_file() for name in needed) for needed in LAYOUTS):
        return folder
    found = sorted(folder.glob("*.keras"))
    if len(found) != 1:
        raise ModelError(f"{repo} on the Hub holds neither a card.json nor one model as Keras writes it.")
    return found[0]


def _broken_off(repo: str) -> str:
    return f"{repo} could not be fetched from the Hub; try again later."
