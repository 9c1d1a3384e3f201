"""The paper's tables: the printed figures are consistent, and the document is what is measured."""

import csv
import io
import re
import sys
from pathlib import Path

import pytest

import keras_sknet
from keras_sknet import K5, K7, Branch, models
from keras_sknet.analysis.architecture import architecture
from keras_sknet.analysis.measured import BUILDERS, build, measure
from keras_sknet.analysis.published import CLAIMS, COMPARISONS, TABLE_1, Net
from keras_sknet.analysis.table_formats import as_csv, as_markdown, as_text
from keras_sknet.analysis.tables import NAMES, Table, agreeing, paper_table
from keras_sknet.cli import main
from nets import tiny

DOCUMENT = Path(keras_sknet.__file__).resolve().parent.parent / "docs" / "tables.md"
# Packages that may be missing, and the first cells of their rows.
OPTIONAL = {"zeromodels": "| InceptionV4 |", "keras_hub": "| DenseNet-264 (k=32) |"}


def rows():
    return [row for table in COMPARISONS.values() for row in table.rows]


def test_every_row_is_whole():
    for table in COMPARISONS.values():
        for row in table.rows:
            assert (len(row.labels), len(row.errors)) == (len(table.labels), len(table.errors))
            assert re.fullmatch(r"\d+\.\d+M", row.parameters) and re.fullmatch(r"(\d+\.\d\d)?", row.giga)
            assert all(re.fullmatch(r"(\d+\.\d+)?", error) for error in row.errors)
    assert [len(table.rows) for table in COMPARISONS.values()] == [17, 5, 5, 11, 17]
    assert NAMES == ("1", "2", "3", "6", "7", "S9", "claims")


def test_the_paper_says_the_same_of_a_network_in_every_table():
    said = {}
    for row in rows():
        if row.net and row.giga:
            said.setdefault(row.net, set()).add((row.parameters, row.giga, row.errors[0]))
    for column in TABLE_1:
        (known,) = said[column.net]
        assert known[:2] == (column.parameters, column.giga)
    assert all(len(figures) == 1 for figures in said.values())


def test_gains_are_differences_of_the_errors():
    reference, *others = COMPARISONS["3"].rows
    for row in others:
        assert f"{float(reference.errors[0]) - float(row.errors[0]):.2f}" == row.errors[1]


def test_every_network_is_one_that_exists():
    for net in {row.net for row in rows() if row.net}:
        assert net.package in BUILDERS
        assert net.package != "keras_sknet" or hasattr(models, net.name)
    quoted = {row.labels[0].split(" ")[0] for row in rows() if row.net is None}
    assert quoted == {"AttentionNeXt-56", "Attention-92", "DPN-68", "DPN-92", "DPN-98", "DenseNet-232"}


def test_architectures_are_read_from_the_layers():
    model = tiny(depths=(2, 1, 1), branches=(Branch(3, 1, 2), Branch(5, 1, 4)), stem="cifar")
    model.get_layer("sk_2_1").expand.conv.filters = 99
    unit = "SK[M=2, G=2/4, r=16]"
    assert architecture(model) == [
        ("32×32", "3×3, 8, stride 1"),
        ("32×32", f"[1×1, 8; {unit}, 8; 1×1, 99] × 1, [1×1, 8; {unit}, 8; 1×1, 8] × 1"),
        ("16×16", f"[1×1, 8; {unit}, 8; 1×1, 16] × 1"),
        ("8×8", f"[1×1, 16; {unit}, 16; 1×1, 16] × 1"),
        ("1×1", "global average pool, 5-d fc, softmax"),
    ]
    stages = architecture(tiny("SENet50", depths=(1, 1, 1, 2)))
    assert stages[:2] == [("16×16", "7×7, 8, stride 2"), ("8×8", "3×3 max pool, stride 2")]
    assert stages[5] == ("1×1", "[1×1, 16; 3×3, 16, G=2; 1×1, 32; fc, [2, 32]] × 2")


@pytest.mark.parametrize(
    "printed, counted, names",
    [
        ("27.5M", {"trainable": 27_479_784, "all": 27_564_328}, "trainable"),
        ("26.5M", {"trainable": 26_458_664, "all": 26_541_992}, "trainable, all"),
        ("27.7M", {"trainable": 27_559_896, "all": 27_628_120}, ""),
        ("25.00M", {"trainable": 25_028_904, "all": 25_004_999}, "all"),
        ("4.47", {"plain": 4_462_710_784, "select": 4_468_230_144}, "select"),
        ("", {"plain": 4_462_710_784}, None),
    ],
)
def test_a_printed_figure_is_the_countings_that_round_to_it(printed, counted, names):
    assert agreeing(printed, counted) == names


def test_a_network_of_a_missing_package_is_not_measured(monkeypatch):
    for module in ("zeromodels", "keras_hub"):
        monkeypatch.setitem(sys.modules, module, None)
    nets = {"tables": Net("InceptionV7", "zeromodels"), "hub": Net("SparseNet", "keras_hub")}
    for extra, net in nets.items():
        with pytest.raises(ImportError, match=rf'pip install "keras_sknet\[{extra}\]"'):
            build(net)
        assert measure(net) is None


def test_options_of_a_row_arrive():
    (row,) = (row for row in COMPARISONS["7"].rows if row.labels == ("", "✓", "✓", "✓"))
    assert dict(row.net.options) == {"branches": (K5, K7), "use_attention": True}
    wider = next(row for row in COMPARISONS["3"].rows if "wider" in row.labels[0])
    assert wider.net.name == "ResNeXt50" and dict(wider.net.options)["cardinality"] == 34


TABLE = Table(
    "A title", ("net", "figure, paper", "counted"), [["a", "1.0M", 1234567], ["b, c", None, None]], ("Why.",)
)


def test_text_is_aligned():
    text = as_text({"2": TABLE})
    assert text.startswith(
        "A title\n\nnet   figure, paper    counted\na     1.0M           1,234,567\nb, c\n\nWhy.\n"
    )
    assert text.endswith("\n")


def test_csv_has_bare_integers_and_a_header_for_each_table():
    text = as_csv({"2": TABLE, "S9": TABLE})
    first, second = text.split("\n\n")
    assert list(csv.reader(io.StringIO(first))) == [
        ["table", "net", "figure, paper", "counted"],
        ["2", "a", "1.0M", "1234567"],
        ["2", "b, c", "", ""],
    ]
    assert second.splitlines()[1].startswith("S9,a,")


def test_markdown_is_a_document():
    text = as_markdown({"2": TABLE})
    assert text.startswith("# The tables of the paper, measured\n")
    assert text.endswith(
        "\n## A title\n\n| net | figure, paper | counted |\n| --- | --- | ---: |\n"
        "| a | 1.0M | 1,234,567 |\n| b, c |  |  |\n\nWhy.\n"
    )


def test_an_unknown_table_is_an_error():
    with pytest.raises(ValueError, match=r"`name` must be one of \('1', '2'.*\. Received: name='4'"):
        paper_table("4")


def measurable(text):
    """The lines of a document but those of packages that are not installed here."""
    missing = tuple(OPTIONAL[package] for package in OPTIONAL if not installed(package))
    return [line for line in text.splitlines() if not line.startswith(missing or "\0")]


def installed(package):
    return next(measure(row.net) for row in rows() if row.net and row.net.package == package) is not None


@pytest.mark.slow
def test_the_document_is_what_the_command_prints(capsys):
    assert main(["tables", "--format", "markdown"]) == 0
    document = DOCUMENT.read_text(encoding="utf-8")
    assert measurable(capsys.readouterr().out) == measurable(document)
    assert "is not installed" not in document


@pytest.mark.slow
def test_claims_are_computed_from_the_rows_they_compare():
    table = paper_table("claims")
    by_claim = {(row[0], row[-1] and row[-1][-4:-1]): row for row in table.rows}
    assert len(by_claim) == len(CLAIMS)
    more = by_claim["SKNet-50 has more parameters than ResNeXt-50", None]
    assert more[1:] == ["10 %", "+9.79 %", "+9.83 %", None, None, None, None]
    computes = by_claim["ResNeXt-101 computes more than SKNet-50", None]
    assert computes[4:7] == ["+78.59 %", "+78.37 %", "+78.38 %"]
    assert by_claim["SKNet-50 is better than SENet-50", "320"][-1] == "0.39 (320)"
    assert by_claim["SKNet-50 is better than ResNeXt-101", "224"][-1] == "0.32 (224)"
