"""What the processor has, as far as the choice of oneDNN's kernels depends on it."""

import functools
from pathlib import Path


def lacks_avx512(file="/proc/cpuinfo"):
    """Whether this is an x86 processor with AVX2 but without AVX-512. `False` where Linux does not tell.

    Args:
        file: String, where Linux describes the processor.

    Example:

    ```python
    from keras_sknet.ops.processor import lacks_avx512

    assert not lacks_avx512("/nowhere")
    ```
    """
    words = _description(file)
    return "avx2" in words and "avx512f" not in words


def has_avx512(file="/proc/cpuinfo"):
    """Whether this is an x86 processor with AVX-512. `False` where Linux does not tell.

    Args:
        file: String, where Linux describes the processor.

    Example:

    ```python
    from keras_sknet.ops.processor import has_avx512

    assert not has_avx512("/nowhere")
    ```
    """
    return "avx512f" in _description(file)


@functools.cache
def _description(file):
    try:
        return frozenset(Path(file).read_text().split())
    except OSError:
        return frozenset()
