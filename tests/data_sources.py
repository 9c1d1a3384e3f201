"""Small data on disk for the tests of sources and pipelines."""

import io

import numpy as np
from PIL import Image


def picture(height=40, width=60, seed=0):
    """An RGB image of coarse colours and noise: neighbours are alike, but no two pixels are the same."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), "uint8"))
    pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return Image.fromarray(np.clip(pixels + rng.integers(-20, 21, pixels.shape), 0, 255).astype("uint8"))


def encoded(image, kind="JPEG", **options):
    """The bytes of an image's file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def write_folder(root, counts, first_seed=0):
    """Writes `counts[split][label]` files, every third one a PNG, and returns `{relative path: bytes}`."""
    files = {}
    for split, labels in counts.items():
        for label, count in labels.items():
            for number in range(count):
                seed = first_seed + len(files)
                kind, suffix = ("PNG", "png") if number % 3 == 2 else ("JPEG", "jpg")
                path = root / split / label / f"{number:03}.{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                contents = encoded(picture(36 + seed % 7, 44 + seed % 11, seed), kind)
                path.write_bytes(contents)
                files[str(path.relative_to(root))] = contents
    return files
