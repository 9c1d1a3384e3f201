import pytest

from keras_sknet.ops.processor import has_avx512, lacks_avx512


@pytest.mark.parametrize(
    "flags, lacks, has",
    [
        ("fpu avx avx2 fma", True, False),
        ("fpu avx avx2 avx512f avx512_vnni", False, True),
        ("fp asimd evtstrm", False, False),
    ],
)
def test_the_flags_tell(tmp_path, flags, lacks, has):
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\nmodel name\t: one\nflags\t\t: {flags}\n")
    assert lacks_avx512(str(file)) is lacks and has_avx512(str(file)) is has
