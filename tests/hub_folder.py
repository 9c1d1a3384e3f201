"""A folder in the layout of the Hugging Face hub's cache, as its client makes it, with weights of our own."""

import hashlib
import json

from safetensors.numpy import save_file

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIG = {
    "architecture": "skresnext50_32x4d",
    "num_classes": 5,
    "pretrained_cfg": {
        "tag": "ra_in1k",
        "interpolation": "bilinear",
        "crop_pct": 0.95,
        "mean": [0.5, 0.4, 0.3],
        "std": [0.3, 0.2, 0.1],
        "license": "apache-2.0",
    },
}


def add_repository(cache, repository, tensors, config=CONFIG, commit=COMMIT, branch="main"):
    """Writes weights and `config.json` as one commit of a repository; returns the path of the weights."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    for part in ("blobs", "refs", f"snapshots/{commit}"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "refs" / branch).write_text(commit)
    save_file(tensors, folder / "new", {"format": "pt"})
    contents = {
        "model.safetensors": (folder / "new").read_bytes(),
        "config.json": json.dumps(config).encode(),
    }
    (folder / "new").unlink()
    for name, content in contents.items():
        digest = hashlib.sha256(content).hexdigest()
        (folder / "blobs" / digest).write_bytes(content)
        link = folder / "snapshots" / commit / name
        link.unlink(missing_ok=True)
        link.symlink_to(f"../../blobs/{digest}")
    return folder / "snapshots" / commit / "model.safetensors"
