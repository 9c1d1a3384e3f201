"""The paper's tables, each row with what this package measures on the built network beside it."""

import decimal
from typing import NamedTuple

from keras_sknet.analysis.architecture import architecture
from keras_sknet.analysis.measured import build, measure
from keras_sknet.analysis.published import CLAIMS, COMPARISONS, CROPS, TABLE_1, TABLE_2, TABLE_3
from keras_sknet.complexity import complexity
from keras_sknet.validation import one_of

NAMES = ("1", *COMPARISONS, "claims")

PARAMETERS = ("trainable", "all")
MULTIPLY_ADDS = ("multiply-adds", "with select", "with batch norm")
QUOTED = "quoted only"
MILLION, BILLION = 10**6, 10**9


class Table(NamedTuple):
    """A table to be written.

    Args:
        title: What it shows.
        header: Names of the columns.
        rows: Lists of cells, as many as the header has: integers, strings, or `None` for nothing.
        notes: Sentences below it. Defaults to `()`.
    """

    title: str
    header: tuple
    rows: list
    notes: tuple = ()


def paper_table(name):
    """Builds the networks of one of the paper's tables, and measures them.

    Args:
        name: `"1"`, `"2"`, `"3"`, `"6"`, `"7"`, `"S9"`, or `"claims"` for what the text says of them.

    Returns:
        `Table`.

    Raises:
        ValueError: if there is no such table.

    Example:

    ```python
    from keras_sknet.analysis.tables import paper_table

    table = paper_table("1")
    table.rows[0]  # of ResNeXt-50: the stem as printed, and as built
    ```
    """
    one_of("name", name, NAMES)
    if name == "1":
        return _architectures()
    return _claims() if name == "claims" else _comparison(COMPARISONS[name])


def _architectures():
    rows = []
    for label, net, stages, parameters, giga in TABLE_1:
        model = build(net)
        built = architecture(model)
        for (size, layers), (built_size, built_layers) in zip(stages, built, strict=True):
            same = (size, layers) == (built_size, built_layers)
            rows.append([label, size, layers, built_size, built_layers, "yes" if same else "no"])
        counts = complexity(model)
        for what, printed, counted in (
            ("#P", parameters, _parameters(counts)),
            ("GFLOPs", giga, _multiply_adds(counts)),
        ):
            figures = ", ".join(f"{name} {value:,}" for name, value in counted.items())
            same = agreeing(printed, counted)
            rows.append([label, what, printed, "", figures, f"yes: {same}" if same else "no"])
    header = ("network", "output (paper)", "layers (paper)", "output", "layers", "same")
    return Table("Table 1. Architectures", header, rows)


def _comparison(table):
    header = (
        *table.labels,
        *(f"{name} (paper)" for name in table.errors),
        "#P (paper)",
        "GFLOPs (paper)",
        *PARAMETERS,
        *MULTIPLY_ADDS,
        "input",
        "printed #P is",
        "printed GFLOPs are",
        "measured by",
    )
    rows = []
    for row in table.rows:
        printed = [*row.labels, *row.errors, row.parameters, row.giga]
        measured = row.net and measure(row.net)
        if measured:
            counts, size = measured
            parameters, multiply_adds = _parameters(counts), _multiply_adds(counts)
            same = [agreeing(row.parameters, parameters), agreeing(row.giga, multiply_adds)]
            rows.append([*printed, *counts[:5], size, *same, row.net.package])
        else:
            source = f"{QUOTED}: {row.net.package} is not installed" if row.net else QUOTED
            rows.append([*printed, *[None] * (len(header) - len(printed) - 1), source])
    return Table(table.title, header, rows, table.notes)


def _claims():
    header = ("claim", "paper", *PARAMETERS, *MULTIPLY_ADDS, "of the paper's errors")
    # Table 2 has the errors at both crops: it comes last, and wins.
    found = {row.labels[0]: row for table in (TABLE_3, TABLE_2) for row in table.rows}
    rows = []
    for claim in CLAIMS:
        first, second = found[claim.first], found[claim.second]
        if claim.quantity in CROPS:
            figures = [None] * 5 + [_points(claim, first, second)]
        else:
            figures = [*_percent(claim, first, second), None]
        rows.append([claim.text, claim.printed, *figures])
    notes = ("Errors are the paper's own, by the size of the crop: nothing here was trained to check them.",)
    return Table("Claims of the paper's text", header, rows, notes)


def _points(claim, first, second):
    """By how much the first one's error is the lower, as the paper prints errors."""
    index = CROPS.index(claim.quantity)
    points = decimal.Decimal(second.errors[index]) - decimal.Decimal(first.errors[index])
    return f"{points} ({claim.quantity.split()[-1]})"


def _percent(claim, first, second):
    """How much more the first one has, by each counting of the quantity; `None` by the others."""
    of_quantity = [claim.quantity == "parameters"] * 2 + [claim.quantity == "multiply-adds"] * 3
    counts = (measure(row.net)[0][:5] for row in (first, second))
    return [
        f"{100 * (more / less - 1):+.2f} %" if counted else None
        for counted, more, less in zip(of_quantity, *counts, strict=True)
    ]


def _parameters(counts):
    return dict(zip(PARAMETERS, counts[:2], strict=True))


def _multiply_adds(counts):
    """The countings by name, without that of selecting where nothing selects."""
    named = dict(zip(MULTIPLY_ADDS, counts[2:5], strict=True))
    if counts.multiply_adds_with_select == counts.multiply_adds:
        del named["with select"]
    return named


def agreeing(printed, counted):
    """Names the countings that round to a printed figure.

    Args:
        printed: String, "27.5M" or, in thousands of millions, "4.47"; "" for none.
        counted: Dictionary of whole numbers by name.

    Returns:
        String of names, or `None` if nothing is printed.
    """
    if not printed:
        return None
    unit = MILLION if printed.endswith("M") else BILLION
    figure = decimal.Decimal(printed.rstrip("M"))
    return ", ".join(
        name for name, value in counted.items() if (decimal.Decimal(value) / unit).quantize(figure) == figure
    )
