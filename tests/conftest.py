import contextlib
import gc
import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import pytest

ROOT = Path(__file__).resolve().parent.parent

pytest.register_assert_rewrite("checks")

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    # Two replicas need two devices, which cannot be made any more once an operation has run.
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )


def pytest_collection_finish():
    # What is imported by now stays: collecting garbage, as each export to LiteRT does, need not look at it.
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def keras_state(request):
    """Every test starts from one seed and leaves names, dtype policy and floatx as it found them."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.utils.set_random_seed(0)
    yield
    # Collecting garbage takes 0.2 s: once a module is enough, but for those that fill the memory.
    keras.utils.clear_session(free_memory=request.node.get_closest_marker("slow") is not None)
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)


@pytest.fixture(autouse=True, scope="module")
def module_state():
    # A module's own fixtures are made before a test's.
    keras.utils.set_random_seed(0)
    yield
    gc.collect()


@pytest.fixture(scope="session")
def require():
    """`require(found, what)`: the test is skipped without `what`, or fails if CI=true, which installs it."""

    def require(found, what):
        if found:
            return
        if os.environ.get("CI") == "true":
            pytest.fail(f"needs {what}, and CI=true turns this skip into a failure: install it in .ci/run")
        pytest.skip(f"needs {what}")

    return require


@pytest.fixture
def uninstalled(monkeypatch):
    """`uninstalled(package)`: for the rest of the test it cannot be imported, nor can any part of it."""

    def uninstalled(package):
        for name in [package, *sys.modules]:
            if name.partition(".")[0] == package:
                monkeypatch.setitem(sys.modules, name, None)

    return uninstalled


@pytest.fixture
def full_disk(require):
    """`with full_disk(size)`: no file can grow beyond so many bytes."""
    require(os.name == "posix", "limits of file size, which only POSIX systems have")
    import resource
    import signal

    @contextlib.contextmanager
    def full_disk(size):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, handler)

    return full_disk


@pytest.fixture(scope="session")
def run_python():
    """`run_python(code, *arguments, **environment)`: what `code` prints in a fresh interpreter.

    The checkout and the modules of `tests/` can be imported there. An environment variable given as None
    is unset.
    """

    def run_python(code, *arguments, timeout=300, **environment):
        merged = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", **environment}
        process = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            env={name: value for name, value in merged.items() if value is not None},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert process.returncode == 0, f"{process.stdout[-2000:]}\n{process.stderr[-6000:]}"
        return process.stdout

    return run_python
