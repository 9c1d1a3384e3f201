"""What speed.py measures: rows, and the ratios between them with their targets."""

import fnmatch
from typing import NamedTuple

TITLES = {
    "train": "Training step, batch 8, float32",
    "infer-8": "Inference, batch 8, float32",
    "infer-1": "Inference, batch 1, float32",
    "train-bfloat16": "Training step, batch 8, bfloat16",
    "infer-8-bfloat16": "Inference, batch 8, bfloat16",
}
TRAINING_BATCH = 8


class Row(NamedTuple):
    """One line of the table, measured in a worker of its own.

    Args:
        group: Key of `TITLES`; the rows of a group alternate.
        name: String, unique in the group.
        role: Which interpreter: `"ours"` or `"peer"`.
        network: String, as in `jobs.NETWORKS`.
        command: Dictionary, what the worker is asked to make.
        needs_file: Boolean, whether it runs an exported file instead of building the network.
    """

    group: str
    name: str
    role: str
    network: str
    command: dict
    needs_file: bool = False

    @property
    def id(self):
        return f"{self.group}/{self.name}"


def rows(files, compiled=False, plain_training=False):
    """All rows, those for SKNet-50 first in every group.

    Args:
        files: Path of the folder that holds the exported files.
        compiled: Boolean, whether to measure `torch.compile`. Defaults to `False`.
        plain_training: Boolean, whether to train with Keras' own convolutions. Defaults to `False`.
    """
    found = []
    for network in ("sknet50", "resnext50"):
        found += _training(network, compiled, plain_training)
        for batch in (8, 1):
            found += _inference(network, batch, files, compiled)
    found += _bfloat16("train-bfloat16", "train") + _bfloat16("infer-8-bfloat16", "infer")
    order = list(TITLES)
    return sorted(found, key=lambda row: order.index(row.group))


def _training(network, compiled, plain):
    group, command = "train", {"make": "train", "network_name": network, "batch": TRAINING_BATCH}
    found = [
        Row(group, network, "ours", network, command),
        Row(group, f"timm-{network}", "peer", network, command),
    ]
    if compiled:
        found.append(Row(group, f"timm-{network}-compiled", "peer", network, {**command, "compiled": True}))
    if network == "sknet50":
        frozen = {**command, "freeze_through": 4}
        found.append(Row(group, f"{network}-frozen-4", "ours", network, frozen))
        found.append(Row(group, f"{network}-keras-sgd", "ours", network, {**command, "optimizer": "keras"}))
    if plain and network == "sknet50":
        found.append(Row(group, f"{network}-keras", "ours", network, {**command, "path": "keras"}))
    return found


def _inference(network, batch, files, compiled):
    group, command = f"infer-{batch}", {"make": "infer", "network_name": network, "batch": batch}
    found = [
        Row(group, network, "ours", network, command),
        Row(group, f"{network}-folded", "ours", network, {**command, "folded": True}),
        Row(group, f"timm-{network}", "peer", network, command),
    ]
    if compiled:
        found.append(Row(group, f"timm-{network}-compiled", "peer", network, {**command, "compiled": True}))
    if batch == 1:
        lite = {"make": "litert", "file": f"{files}/{network}.tflite"}
        found.append(Row(group, f"litert-{network}", "ours", network, lite, needs_file=True))
    if network == "sknet50":
        vino = {"make": "openvino", "file": f"{files}/{network}-openvino/model.xml", "batch": batch}
        found.append(Row(group, f"openvino-{network}", "ours", network, vino, needs_file=True))
        served = {"make": "saved_model", "folder": f"{files}/{network}", "batch": batch}
        found.append(Row(group, f"saved-model-{network}", "ours", network, served, needs_file=True))
        found.append(Row(group, f"{network}-keras", "ours", network, {**command, "path": "keras"}))
    return found


def _bfloat16(group, make):
    network = "sknet50"
    command = {"make": make, "network_name": network, "batch": 8}
    return [
        # Float32 once more, as only rows of one group take turns.
        Row(group, f"{network}-float32", "ours", network, command),
        Row(group, network, "ours", network, {**command, "dtype": "mixed_bfloat16"}),
        Row(group, f"timm-{network}", "peer", network, {**command, "dtype": "bfloat16"}),
    ]


def chosen(all_rows, patterns):
    """The rows whose id or group fits one of `patterns`; all of them without patterns.

    Raises:
        ValueError: if a pattern fits none.
    """
    if not patterns:
        return all_rows
    unknown = [pattern for pattern in patterns if not any(fits(row, pattern) for row in all_rows)]
    if unknown:
        raise ValueError(f"no such row: {', '.join(unknown)}. There are {', '.join(r.id for r in all_rows)}")
    return [row for row in all_rows if any(fits(row, pattern) for pattern in patterns)]


def fits(row, pattern):
    return fnmatch.fnmatch(row.id, pattern) or row.group == pattern


# (row, the row it is divided by, what the ratio is to stay below or None)
TIMES = (
    ("train/sknet50", "train/timm-sknet50", 0.72),
    ("train/sknet50", "train/timm-sknet50-compiled", 0.88),
    ("train/sknet50", "train/resnext50", 1.25),
    ("train/sknet50-frozen-4", "train/sknet50", None),
    ("train/sknet50", "train/sknet50-keras-sgd", None),
    ("train/sknet50", "train/sknet50-keras", None),
    ("train/resnext50", "train/timm-resnext50", None),
    ("train/resnext50", "train/timm-resnext50-compiled", None),
    ("infer-8/sknet50", "infer-8/timm-sknet50", 0.60),
    ("infer-8/sknet50", "infer-8/timm-sknet50-compiled", 0.85),
    ("infer-8/sknet50-folded", "infer-8/openvino-sknet50", 1.0),
    ("infer-8/saved-model-sknet50", "infer-8/sknet50", None),
    ("infer-8/sknet50", "infer-8/resnext50", 1.15),
    ("infer-8/sknet50", "infer-8/sknet50-keras", None),
    ("infer-8/resnext50", "infer-8/timm-resnext50", None),
    ("infer-8/resnext50", "infer-8/timm-resnext50-compiled", None),
    ("infer-1/sknet50", "infer-1/timm-sknet50", 0.60),
    ("infer-1/sknet50-folded", "infer-1/timm-sknet50-compiled", 0.75),
    ("infer-1/saved-model-sknet50", "infer-1/sknet50", None),
    ("infer-1/litert-sknet50", "infer-1/timm-sknet50", 0.48),
    ("infer-1/litert-sknet50", "infer-1/timm-sknet50-compiled", 0.60),
    ("infer-1/litert-sknet50", "infer-1/openvino-sknet50", 1.0),
    ("infer-1/litert-sknet50", "infer-1/litert-resnext50", 1.2),
    ("infer-1/sknet50", "infer-1/sknet50-keras", None),
    ("infer-1/resnext50", "infer-1/timm-resnext50", None),
    ("train-bfloat16/sknet50", "train-bfloat16/timm-sknet50", None),
    ("train-bfloat16/sknet50", "train-bfloat16/sknet50-float32", None),
    ("infer-8-bfloat16/sknet50", "infer-8-bfloat16/timm-sknet50", None),
    ("infer-8-bfloat16/sknet50", "infer-8-bfloat16/sknet50-float32", None),
)
MEMORY = (
    ("train/sknet50", "train/timm-sknet50", 1.0),
    ("train/resnext50", "train/timm-resnext50", None),
    ("train-bfloat16/sknet50", "train-bfloat16/timm-sknet50", None),
)
IMPORT_SECONDS = 0.1
STARTUP = {"build": 1.5, "first step": 1.5}
