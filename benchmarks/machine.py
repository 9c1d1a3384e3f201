"""What a measurement must say of the machine it was made on."""

import datetime
import os
import platform
import subprocess
import time
from pathlib import Path

from worker import CORES, FOLDER, WorkerError, once

PACKAGES = ("tensorflow", "keras", "ai-edge-litert", "openvino", "torch", "timm", "jax", "jaxlib")
OTHERS_ALLOWED = 0.03  # of all cores' time; PyTorch suffers most
# What decides how fast matrices are multiplied.
FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_tile", "asimd", "bf16", "sve")


def facts(interpreters):
    """Describes this machine, and what is installed.

    Args:
        interpreters: Dictionary of a role ("ours", "peer", …) and the path of an interpreter.

    Returns:
        Dictionary that JSON can hold.
    """
    processor = _processor()
    flags = processor.get("flags", processor.get("Features", "")).split()
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "processor": processor.get("model name") or platform.processor() or platform.machine(),
        "cores": CORES,
        "flags": [flag for flag in FLAGS if flag in flags],
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "as TensorFlow decides"),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "commit": _commit(),
        "versions": {role: versions(python) for role, python in interpreters.items() if python},
    }


class Others:
    """How much of the processor goes to something else while workers run what is timed."""

    def __init__(self):
        self._theirs = self._all = 0.0

    def watch(self, ask):
        """Calls `ask`, which has a worker run, and returns the answer."""
        start, busy = time.monotonic(), _busy_seconds()
        answer = ask()
        self._theirs += _busy_seconds() - busy - answer["processor_seconds"]
        self._all += (time.monotonic() - start) * CORES
        return answer

    def share(self):
        """The share of all cores' time, 0–1. Zero where the system does not tell."""
        return round(min(max(self._theirs / self._all, 0), 1), 3) if self._all else 0.0

    def warning(self):
        """One line on how far the times can be trusted."""
        line = f"{self.share():.1%} of the processor went to something else"
        return f"DO NOT TRUST THESE TIMES: {line}." if self.share() > OTHERS_ALLOWED else f"{line}."


def _busy_seconds():
    """What all cores together have worked since the system started, stolen time included."""
    try:
        ticks = Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _, _, *interrupts_and_steal = map(int, ticks[:8])
    return (user + nice + system + sum(interrupts_and_steal)) / os.sysconf("SC_CLK_TCK")


def versions(python):
    """The versions of what matters that an interpreter has; an empty dictionary if it does not start."""
    try:
        return once("jobs.py", python, make="versions", packages=PACKAGES)
    except WorkerError:
        return {}


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _commit():
    command = ["git", "-C", FOLDER, "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip() or None
    except OSError:
        return None
