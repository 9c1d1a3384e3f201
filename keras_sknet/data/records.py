"""Records of TFRecord files by their number, for which the format has no index."""

import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np

# In the file: length (8 bytes), its checksum (4), the record, its checksum (4).
LENGTH = struct.Struct("<Q")
HEAD, TAIL = 12, 4
THREADS = 16  # they wait for the disk


class Records:
    """The records of TFRecord files, each to be read without those before it.

    Args:
        paths: List of paths, in order. Each file is looked through once, from one length to the next.

    Raises:
        ValueError: for a file that is cut off or no TFRecord file.
    """

    def __init__(self, paths):
        with ThreadPoolExecutor(THREADS) as pool:
            offsets = list(pool.map(_offsets, paths))
        self.paths = list(paths)
        self._offsets = np.concatenate(offsets)
        self._files = np.repeat(np.arange(len(paths)), [len(pairs) for pairs in offsets])

    def __len__(self):
        return len(self._offsets)

    def __getitem__(self, index):
        offset, length = self._offsets[index]
        with open(self.paths[self._files[index]], "rb", buffering=0) as file:
            file.seek(offset)
            return file.read(length)


def _offsets(path):
    """Array `(records, 2)` of where each record starts and how long it is."""
    found = []
    with open(path, "rb", buffering=0) as file:
        end = file.seek(0, 2)
        place = 0
        while place < end:
            file.seek(place)
            head = file.read(HEAD)
            length = LENGTH.unpack_from(head)[0] if len(head) == HEAD else end
            found.append((place + HEAD, length))
            place += HEAD + length + TAIL
    if place != end:
        raise ValueError(f"{str(path)!r} is cut off or no TFRecord file")
    return np.array(found, "int64").reshape(-1, 2)
