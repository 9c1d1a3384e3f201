"""Writes docs/api.md, every public name and the first line of its docstring: python docs/api.py"""

import types
from pathlib import Path

import keras_sknet
from keras_sknet import analysis, data, evaluation, export, layers, models, ops, training

PAGE = Path(__file__).resolve().parent / "api.md"
MODULES = (keras_sknet, layers, models, ops, data, training, evaluation, analysis, export)
HEAD = """\
# Public names

Written by `python docs/api.py` from the docstrings, which have arguments, shapes, errors and an example each:
`help(keras_sknet.SKNet50)`. What is in `keras_sknet` itself is in the module that it comes from too, and not
repeated there.

Beside these there are the branches `keras_sknet.K3`, `K5` and `K7`, the recipes of
[`keras_sknet.training`](../keras_sknet/training/recipes.py), `SKNetBackbone` of
[`keras_sknet.integrations.keras_cv`](keras_cv.md), `SKNetBackbone` and `SKNetImageClassifier` of
[`keras_sknet.integrations.keras_hub`](keras_hub.md), and `join`, `leave` and `drop_out` of
[`keras_sknet.training.distribution`](many_machines.md).
"""


def page():
    """Returns the text of docs/api.md."""
    listed, parts = set(), [HEAD]
    for module in MODULES:
        objects = {
            name: value
            for name in sorted(dir(module), key=str.lower)
            if name[0] != "_"
            and isinstance(value := getattr(module, name), type | types.FunctionType)
            and value not in listed
        }
        if objects:
            listed.update(objects.values())
            rows = [f"| `{name}` | {value.__doc__.splitlines()[0]} |" for name, value in objects.items()]
            parts.append("\n".join([f"## {module.__name__}\n", "| name | what |", "|---|---|", *rows, ""]))
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
