"""Training in several processes, on one machine or many, with Keras' JAX backend."""

import contextlib
import hashlib
import json
import os
import re
import sys

import keras
import numpy as np

from keras_sknet.validation import positive_integer, require, whole_number

ADDRESS = re.compile(r".+:\d{1,5}")
# A line of an error of JAX's runtime, whichever class Keras makes of it and whatever it puts around it.
STATUS = re.compile(r"^(?:\x1b\[\dm)?([A-Z_]{5,}: .*?)(?:\x1b|$)", re.MULTILINE)


class Process:
    """This process among those that train one model together; alone if it has joined no others.

    Each computes a part of every batch, and only the first one writes and prints.

    Args:
        process: Integer, its number, from 0. Defaults to `0`.
        processes: Integer, how many there are. Defaults to `1`.

    Example:

    ```python
    from keras_sknet.training.distribution import Process

    Process(1, 2).part(64)  # 32
    ```
    """

    def __init__(self, process=0, processes=1):
        self.processes = positive_integer("processes", processes)
        self.process = whole_number("process", process)
        require(process < processes, "process", "below `processes`", process=process, processes=processes)

    @property
    def is_first(self):
        return self.process == 0

    @property
    def is_alone(self):
        return self.processes == 1

    @property
    def shard(self):
        """What `keras_sknet.data.batches` takes."""
        return self.process, self.processes

    def part(self, batch_size):
        """Returns this process' part of a batch, or raises `ValueError` if it cannot be parted evenly."""
        require(
            batch_size % self.processes == 0,
            "batch_size",
            "divisible by the processes (and parts to accumulate)",
            step_size=batch_size,
            processes=self.processes,
        )
        return batch_size // self.processes

    def checked(self, stream, batch_size):
        """Returns a stream of batches for `fit` or `evaluate`, if each holds exactly this process' part.

        Otherwise Keras trains on without an error, on too few images or on some of them twice.

        Args:
            stream: `tf.data.Dataset` of images and what belongs to them.
            batch_size: Integer, of all processes together.

        Raises:
            ValueError: for a batch of another size, or a distribution that would part it once more.
        """
        if self.is_alone:
            return stream
        distribution = keras.distribution.distribution()
        require(distribution is not None, "distribution", "set, as `join` does", distribution=distribution)
        devices = distribution.num_model_replicas
        require(
            batch_size % devices == 0,
            "batch_size",
            "divisible by the devices of all processes (and parts to accumulate)",
            step_size=batch_size,
            devices=devices,
        )
        require(
            not distribution.auto_shard_dataset,
            "distribution",
            "made with `auto_shard_dataset=False`, as each process reads its own part already",
            distribution=distribution,
        )
        sizes = {spec.shape[0] for spec in stream.element_spec}
        require(
            sizes == {self.part(batch_size)},
            "stream",
            f"of batches of {self.part(batch_size)}, the part of this process",
            sizes=sizes,
            step_size=batch_size,
            processes=self.processes,
        )
        return stream

    def require_same(self, **values):
        """Raises `ValueError`, in all processes, unless all have the same values (which JSON can hold)."""
        if self.is_alone:
            return
        from jax.experimental import multihost_utils

        digests = [hashlib.sha256(json.dumps(value).encode()).digest()[:4] for value in values.values()]
        everywhere = np.asarray(multihost_utils.process_allgather(np.frombuffer(b"".join(digests), "uint32")))
        apart = np.any(everywhere != everywhere[0], axis=0)
        different = [name for name, differs in zip(values, apart, strict=True) if differs]
        require(
            not different,
            "process",
            "started with the same command, data and `--output` as the others",
            process=self.process,
            **{name: values[name] for name in different},
        )

    def wait(self):
        """Returns when all processes have come here, so that what the first one wrote can be read."""
        if not self.is_alone:
            from jax.experimental import multihost_utils

            multihost_utils.sync_global_devices("keras_sknet")


def join(coordinator, processes, process):
    """Joins this process to others that train the same model; to be called before anything is computed.

    Returns when all have joined. The model is to be built afterwards. `fit` then gives each process its part
    of every batch, and its result is that of one process with the whole batch, but for rounding.

    Args:
        coordinator: String, `"HOST:PORT"` of the first process, which listens there.
        processes: Integer, how many there are.
        process: Integer, the number of this one, from 0.

    Returns:
        `Process`.

    Raises:
        ValueError: for an argument that cannot work, or another backend than JAX.
        RuntimeError: if something was computed before, or the others do not come within five minutes.

    Example:

    ```python
    from keras_sknet.training.distribution import Process, join

    if keras.backend.backend() == "jax":
        join("localhost:12345", processes=2, process=0)  # and process=1 in another process
    ```
    """
    this = check_process(coordinator, processes, process)
    keras.distribution.initialize(coordinator, processes, process)
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    return this


def check_process(coordinator, processes, process):
    """Returns the `Process` that `join` would make of its arguments, or raises its `ValueError`."""
    backend = keras.backend.backend()
    require(
        backend == "jax",
        "coordinator",
        "left out unless the environment has KERAS_BACKEND=jax",
        coordinator=coordinator,
        backend=backend,
    )
    require(
        isinstance(coordinator, str) and ADDRESS.fullmatch(coordinator),
        "coordinator",
        "'HOST:PORT' of process 0",
        coordinator=coordinator,
    )
    return Process(process, processes)


def this_process():
    """Returns the `Process` that this one is among those it has joined."""
    if not _is_joined():
        return Process()
    import jax

    return Process(jax.process_index(), jax.process_count())


@contextlib.contextmanager
def naming_lost_processes():
    """Says that another process is gone where JAX, within the `with` block, tells of a connection.

    Raises:
        RuntimeError: instead of JAX's own, if this process is joined to others.
    """
    if not _is_joined():
        yield
        return
    try:
        yield
    except (RuntimeError, ValueError) as error:
        status = STATUS.search(str(error))
        if not status:
            raise
        reason = status[1].rpartition("Error dispatching computation: ")[-1][:300]
        raise RuntimeError(
            f"The processes cannot go on together: one is gone, out of reach or failed ({reason}). "
            "The same commands go on from the last checkpoint"
        ) from error


@contextlib.contextmanager
def on_its_own():
    """Lets a process make variables and models that the others know nothing of, within a `with` block."""
    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)


def leave():
    """Parts this process from the others, when all have come here; it goes on alone."""
    if _is_joined():
        import jax

        jax.distributed.shutdown()
        keras.distribution.set_distribution(None)


def drop_out(code):
    """Ends this process if it is still joined to others, which then end too, instead of waiting for it.

    Python's own end would wait for the others, and they in the midst of a step for this process.

    Args:
        code: Integer, exit code.
    """
    if _is_joined():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _is_joined():
    if keras.backend.backend() != "jax":
        return False
    import jax

    return jax.distributed.is_initialized()
