"""Tables as text, CSV and Markdown."""

import csv
import io

INTRODUCTION = """\
# The tables of the paper, measured

Every row of Tables 1, 2, 3, 6, 7 and S9 of
[Selective Kernel Networks](https://arxiv.org/abs/1903.06586) as printed, and beside it what this package
counts on the network that it builds. With zeromodels and KerasHub installed (`pip install ".[tables]"` in a
checkout), written by

```
keras-sknet tables --format markdown
```

"""

LEGEND = """\
Columns with "(paper)" are the paper's own figures; errors are nowhere measured here. The others are counted
on built networks, for one image of the size in "input":

- trainable: weights that training changes; all: these and the moving statistics of batch normalization.
- multiply-adds: of convolutions and dense layers; with select: these and one multiply for each branch and
  output of an SK unit; with batch norm: multiply-adds and one operation for each output of a batch
  normalization.
- "printed … is", "are": the countings that round to the printed figure. The paper mixes them. Empty: none
  does, or none is printed.
- measured by: the package whose network was built, with random weights. "quoted only": nobody's was.
"""


def as_text(tables):
    """Tables as aligned columns.

    Args:
        tables: Dictionary of `Table` by name.

    Returns:
        String, with a newline at its end.
    """
    return "\n".join([*map(_text, tables.values()), LEGEND])


def as_csv(tables):
    """Tables as CSV: the first column is the table's name, a blank line and a new header start the next.

    Args:
        tables: Dictionary of `Table` by name.

    Returns:
        String, with a newline at its end.
    """
    blocks = []
    for name, table in tables.items():
        block = io.StringIO()
        writer = csv.writer(block, lineterminator="\n")
        writer.writerow(["table", *table.header])
        writer.writerows([name, *row] for row in table.rows)
        blocks.append(block.getvalue())
    return "\n".join(blocks)


def as_markdown(tables):
    """Tables as a Markdown document.

    Args:
        tables: Dictionary of `Table` by name.

    Returns:
        String, with a newline at its end.
    """
    return INTRODUCTION + "\n".join([LEGEND, *map(_markdown, tables.values())])


FORMATS = {"text": as_text, "csv": as_csv, "markdown": as_markdown}


def _text(table):
    rows = [[_cell(value) for value in row] for row in (table.header, *table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    numeric = _numeric(table)
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in rows
    ]
    return "\n".join([table.title, "", *lines, *_spaced(table.notes)]) + "\n"


def _markdown(table):
    numeric = _numeric(table)
    lines = [
        _markdown_row(table.header),
        _markdown_row("---:" if right else "---" for right in numeric),
        *(_markdown_row(map(_cell, row)) for row in table.rows),
    ]
    return "\n".join([f"## {table.title}", "", *lines, *_spaced(table.notes)]) + "\n"


def _markdown_row(cells):
    return f"| {' | '.join(cells)} |"


def _spaced(notes):
    return [line for note in notes for line in ("", note)]


def _numeric(table):
    """Whether each column holds integers."""
    return [any(isinstance(value, int) for value in column) for column in zip(*table.rows, strict=True)]


def _cell(value):
    if isinstance(value, int):
        return f"{value:,}"
    return "" if value is None else value
