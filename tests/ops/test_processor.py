import pytest

from keras_sknet.ops.processor import lacks_avx512


@pytest.mark.parametrize(
    "flags, lacks",
    [("fpu avx avx2 fma", True), ("fpu avx avx2 avx512f avx512_vnni", False), ("fp asimd evtstrm", False)],
)
def test_the_flags_tell(tmp_path, flags, lacks):
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\nmodel name\t: one\nflags\t\t: {flags}\n")
    assert lacks_avx512(str(file)) is lacks
