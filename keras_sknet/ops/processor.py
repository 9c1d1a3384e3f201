"""What the processor lacks, as far as oneDNN's choice of kernels depends on it."""

import functools
from pathlib import Path


@functools.cache
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
    try:
        words = set(Path(file).read_text().split())
    except OSError:
        return False
    return "avx2" in words and "avx512f" not in words
