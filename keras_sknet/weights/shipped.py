"""Weights that come with this package."""

from pathlib import Path

from keras_sknet.validation import require
from keras_sknet.weights.hub import file_checksum

FOLDER = Path(__file__).parent / "shipped"
# Network: {name of its weights: sha256 of the file}. docs/results.md tells how they were trained.
SHIPPED = {
    "SKNetThin": {"cifar10": "6299cc548f4cd19717647df7740a54c9396f8ec2323af8a2c2a8f11811a5a564"},
}


def shipped_file(function, name):
    """Finds weights that come with this package.

    Args:
        function: Name of the network's function.
        name: String, the argument `weights` of a network.

    Returns:
        `Path` of a `.keras` file that is what it was when the package was made, or `None`: there are none.

    Raises:
        ValueError: if the file is damaged or missing.
    """
    checksum = SHIPPED.get(function, {}).get(name)
    if checksum is None:
        return None
    path = FOLDER / f"{function}-{name}.keras"
    found = file_checksum(path) if path.is_file() else None
    require(
        found == checksum,
        "weights",
        f"the file {path.name!r} of this package, which is damaged: install it again",
        weights=name,
        path=str(path),
        sha256=found,
    )
    return path
