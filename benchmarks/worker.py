"""A process that keeps one thing to measure and runs it when asked; both ends of the pipe to it.

Every line to a worker is a command in JSON, every line back the answer. Who asks waits for the answer, so
that of all workers only one works at a time. Nothing here needs more than Python itself.
"""

import contextlib
import gc
import json
import os
import resource
import selectors
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


class WorkerError(Exception):
    """A worker could not do what it was asked for."""


class Worker:
    """A script of this folder in an interpreter of its own.

    Args:
        script: Name of the script, which calls `serve`.
        python: Path of the interpreter. Defaults to this one.

    Example:

    ```python
    with Worker("jobs.py") as worker:
        worker.ask(make="infer", network="sknet50", batch=1)
        worker.ask(run=10)["seconds"]
    ```
    """

    def __init__(self, script, python=sys.executable):
        paths = [str(FOLDER.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {
            **os.environ,
            "KERAS_BACKEND": "tensorflow",
            "PYTHONPATH": os.pathsep.join(paths),
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
        # Libraries print: the answers come through a pipe of their own.
        answers, end = os.pipe()
        self._answers = os.fdopen(answers, "rb")
        self._output = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(
                [python, FOLDER / script, str(end)],
                stdin=subprocess.PIPE,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                pass_fds=[end],
                env=environment,
            )
        except OSError as error:
            self._output.close()
            self._answers.close()
            raise WorkerError(f"{python} does not start: {error}") from None
        finally:
            os.close(end)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def ask(self, timeout=None, **command):
        """Sends a command and waits for its answer.

        Raises:
            WorkerError: if the command fails, or takes longer than `timeout` seconds: that ends the process.
        """
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            if not selector.select(timeout):
                self._process.kill()
                raise WorkerError(f"not finished after {timeout:.0f} s")
        line = self._answers.readline()
        if not line:
            self._process.wait()
            self._output.seek(0)
            last = self._output.read().decode(errors="replace").strip().splitlines()[-3:]
            raise WorkerError(f"the process ended: {' '.join(last)}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._answers.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()


def once(script, python=sys.executable, **command):
    """Asks a fresh worker for one thing."""
    with Worker(script, python) as worker:
        return worker.ask(**command)


def serve(makers):
    """Answers commands until the input ends.

    Args:
        makers: Functions by name. `{"make": name, …}` calls one with the other keys as arguments. It returns
            a function of a number of runs that gives their seconds, which `{"run": number}` calls later and
            `{"release": true}` drops, or a dictionary, which is the answer.
    """
    answers = os.fdopen(int(sys.argv[1]), "w")
    run = None
    for line in sys.stdin:
        command = json.loads(line)
        try:
            if "run" in command:
                start = time.process_time()
                answer = {"seconds": run(command["run"])}
                answer |= {"processor_seconds": time.process_time() - start, "peak_mb": peak_mb()}
            else:
                run, answer = None, {}
                gc.collect()
                if "make" in command:
                    answer = makers[command.pop("make")](**command)
                if callable(answer):
                    run, answer = answer, {"import_mb": imported_mb}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"}
        print(json.dumps(answer), file=answers, flush=True)


def repeated(function):
    """Returns a function of a number of runs of `function` that gives the seconds of each."""

    def run(count):
        seconds = []
        for _ in range(count):
            start = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - start)
        return seconds

    return run


def peak_mb():
    """The largest resident size of this process so far."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


imported_mb = None


def imports_are_done():
    """Notes what importing took; makers call it behind their imports."""
    global imported_mb
    if imported_mb is None:
        imported_mb = peak_mb()
