"""Runs from the Hugging Face Hub, as pinned snapshots."""

import re
from pathlib import Path

from models.errors import ModelError

NAME = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
PATTERNS = ["card.json", "history.csv", "*.json", "*.h5", "*.keras"]


def snapshot(name: str) -> Path:
    """Download a run, or find it in the cache.

    A branch or tag is asked for anew each time, so that it is what the Hub has today; a commit never changes, and
    is read from the cache without asking. Where the Hub cannot be reached, what was fetched before is used.

    Args:
        name: `hf://user/repo`, or `hf://user/repo@revision` with a branch, a tag or a whole commit hash.

    Returns:
        The folder of one commit, or the one `.keras` file in it where there is no card.

    Raises:
        ModelError: if the name has another form, there is no such run, or it is neither cached nor to be fetched.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
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
    except (HfHubHTTPError, OSError) as error:
        raise ModelError(f"{repo} could not be fetched from the Hub; try again later.") from error
    if (folder / "card.json").is_file():
        return folder
    files = sorted(folder.glob("*.keras"))
    if len(files) != 1:
        raise ModelError(f"{repo} on the Hub holds neither a card.json nor one .keras file.")
    return files[0]
