"""Files of the Hugging Face hub, through its own client: its cache, its offline mode."""

import hashlib
import os
import re
import textwrap
from pathlib import Path
from typing import NamedTuple

from keras_sknet.extras import import_extra

WEIGHTS, CONFIG = "model.safetensors", "config.json"
SHA256 = re.compile("[0-9a-f]{64}")


class Download(NamedTuple):
    """Paths of a repository's two files, and the checksum that the hub reports for the first."""

    weights: Path
    config: Path
    sha256: str


def fetch(repository, revision=None):
    """Gets the weights of a repository on the hub, or finds them in the hub's cache on this machine.

    Args:
        repository: String, e.g. `"timm/skresnext50_32x4d.ra_in1k"`.
        revision: String, a branch, tag or commit. Defaults to `None`: the newest.

    Returns:
        `Download`.

    Raises:
        FileNotFoundError: if a file cannot be had; it says how to get it.
        ImportError: without huggingface_hub.
    """
    weights = _file(repository, WEIGHTS, revision)
    # In the hub's cache the folder of a file is its commit: both files are of one.
    config = _file(repository, CONFIG, weights.parent.name)
    return Download(weights, config, _reported_checksum(weights, repository))


def check(download):
    """Compares a file with the checksum that the hub reports.

    Args:
        download: `Download`.

    Raises:
        ValueError: if they differ; it names the file.
    """
    found = file_checksum(download.weights)
    if found != download.sha256:
        raise ValueError(
            f"`weights` must be the file that the hub has, of sha256 {download.sha256}. Received: "
            f"weights={str(download.weights)!r} of sha256 {found}. It is damaged: delete "
            f"{str(download.weights.resolve())!r} and run this again to fetch it anew"
        )


def file_checksum(path):
    """Returns the sha256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _file(repository, name, revision):
    hub = import_extra("huggingface_hub")
    try:
        return Path(hub.hf_hub_download(repository, name, revision=revision))
    except Exception as error:  # of its own, of its transport's, and Python's
        reason = textwrap.shorten(str(error), 200, placeholder=" …")
        at = f" --revision {revision}" if revision else ""
        raise FileNotFoundError(
            f"Cannot get {name} of {repository!r}, revision {revision or 'main'!r}, from the Hugging Face "
            f"hub ({type(error).__name__}: {reason}). Where there is network, `hf download {repository} "
            f"{WEIGHTS} {CONFIG}{at}` puts it into the hub's cache, a folder that can be copied to this "
            f"machine; `weights=` takes the path of a .safetensors file, too."
        ) from error


def _reported_checksum(path, repository):
    """The sha256 by which the hub knows a large file: the name that its cache gives to the contents."""
    if path.is_symlink():
        name = Path(os.readlink(path)).name
    else:  # where links cannot be made, only the hub itself knows
        name = _asked_checksum(path, repository)
    if not SHA256.fullmatch(name):
        raise FileNotFoundError(f"The hub reports no sha256 for {WEIGHTS} of {repository!r} ({name!r})")
    return name


def _asked_checksum(path, repository):
    hub = import_extra("huggingface_hub")
    try:
        return hub.get_hf_file_metadata(hub.hf_hub_url(repository, path.name, revision=path.parent.name)).etag
    except Exception as error:
        raise FileNotFoundError(
            f"Cannot check {str(path)!r}: its checksum must be asked from the hub ({error}). "
            f"`weights=` takes the path of a .safetensors file, too."
        ) from error
