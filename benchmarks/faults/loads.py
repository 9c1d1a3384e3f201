"""Loads model files that may be damaged, each under guard, in a process of its own.

Started by files.py: every line of input is `KIND PATH`, every line of output what came of it, in JSON.
"""

import contextlib
import io
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402

import keras_sknet  # noqa: E402
from keras_sknet.cli.errors import CommandError  # noqa: E402
from keras_sknet.cli.models import load_model  # noqa: E402
from keras_sknet.models.pretrained import open_weights  # noqa: E402
from keras_sknet.models.weights_file import load_weights_file  # noqa: E402

HUB = "timm/faults.none"
# What a file that is only read gives no reason for.
FORBIDDEN = (
    *("os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen", "socket.connect"),
    *("pickle.find_class", "os.remove", "os.rename", "os.chmod", "os.symlink", "os.link"),
)
# The cache of converted weights is made anew, in its own folder.
WRITES = {"cache": ("os.remove", "os.rename")}


def build(**options):
    """The small network whose files are damaged."""
    small = {"depths": (1, 1, 1, 1), "widths": (8, 8, 16, 16), "filters": (8, 16, 16, 32), "stem_filters": 8}
    branches = keras_sknet.Branch(3, 1, 2), keras_sknet.Branch(3, 2, 2)
    options = {"classes": 5, "input_shape": (32, 32, 3), "branches": branches, **small, **options}
    return keras_sknet.SKNet50(**options)


class Loads:
    """Loads files of every kind, weights into one network that is built once."""

    def __init__(self):
        self.network = build()
        # No file may count as read because its weights were there before.
        self.blank = [0 * array for array in self.network.get_weights()]
        self.events = []
        self.allowed = ()
        self.whole = {}
        sys.addaudithook(self._watch)

    def _watch(self, event, arguments):
        if event in FORBIDDEN and event not in self.allowed:
            self.events.append(event)

    def load(self, kind, path):
        """Returns a dictionary: the error, or how many numbers differ from the first load's, and more."""
        self.events, self.allowed = [], WRITES.get(kind, ())
        printed, found = io.StringIO(), {}
        with contextlib.redirect_stdout(printed):
            try:
                found["changed"] = self._changed(kind, getattr(self, "_" + kind)(path))
            except (ValueError, CommandError) as error:
                found["error"] = str(error)
            except Exception as error:  # which no promise covers
                found["other"] = f"{type(error).__name__}: {error}"
        return {**found, "printed": printed.getvalue(), "forbidden": self.events}

    def _changed(self, kind, model):
        arrays = [array.view("uint32") for array in model.get_weights()]
        whole = self.whole.setdefault(kind, arrays)
        return sum(int(np.sum(a != b)) for a, b in zip(arrays, whole, strict=True))

    def _keras(self, path):
        """As the commands load a model."""
        return load_model(Path(path), "MODEL.keras")

    def _keras_weights(self, path):
        """As the argument `weights` of a network takes it."""
        return build(weights=path)

    def _h5(self, path):
        self.network.set_weights(self.blank)
        load_weights_file(self.network, path)
        return self.network

    def _safetensors(self, path):
        self.network.set_weights(self.blank)
        open_weights(path, "SKNet50").load(self.network, True, build)
        return self.network

    def _cache(self, path):
        """Of the hub's folder; the path is that of a file in the cache of converted weights."""
        self.network.set_weights(self.blank)
        # What a network would be built for, to be converted and written, is there already.
        open_weights(HUB, "SKNet50").load(self.network, True, lambda **options: self.network)
        return self.network


def main():
    answers, sys.stdout = sys.stdout, sys.stderr
    loads = Loads()
    for line in sys.stdin:
        kind, _, path = line.rstrip("\n").partition(" ")
        print(json.dumps(loads.load(kind, path)), file=answers, flush=True)


if __name__ == "__main__":
    main()
