"""A report of how a model's attention responds to scale: one HTML file that needs no other, and its parts."""

import html
import importlib.resources
import io
import re

import numpy as np

from keras_sknet.analysis.attention import kernel_sizes, named, require_units
from keras_sknet.analysis.contact_sheet import draw_contact_sheet, pick_images
from keras_sknet.analysis.paper_figures import default_units, draw_channels, draw_classes, draw_units
from keras_sknet.analysis.response import write_rows
from keras_sknet.analysis.scale import SCALES, scale_response
from keras_sknet.data.faults import describe
from keras_sknet.extras import import_extra
from keras_sknet.figures import INK, MUTED
from keras_sknet.layers import record_attention
from keras_sknet.validation import require

EXAMPLES = 3
TEMPLATE = "report.html.jinja"


def write_report(folder, model, source, *, scales=SCALES, units=None, facts=None):
    """Measures a model's response to scale on labelled images and writes a report.

    - `index.html`: figures, tables that can be sorted, how it came about; needs no other file and no network,
      and follows the reader's choice of dark or light.
    - `units.csv`, `classes.csv`, `images.csv`: the numbers, over all images, by class and image by image.
    - `figures/`: the figures as PNG and SVG.

    Args:
        folder: `Path` of a folder that exists and is empty.
        model: `keras.Model` with SK units and a single input, images.
        source: A source as `keras_sknet.data.open_source` returns it.
        scales: As for `scale_response`. Defaults to `(1.0, 1.5, 2.0)`.
        units: Names of the units to look at one by one. Defaults to a low, a middle and the last one.
        facts: `{name: string}` to print in the report, e.g. the command. Defaults to none.

    Returns:
        `ScaleResponse`.

    Raises:
        ValueError: for what `scale_response` refuses, and unknown names of units.
        ImportError: without Matplotlib or Jinja2.

    Example:

    ```python
    from pathlib import Path

    from keras_sknet.analysis import write_report
    from keras_sknet.data import Digits, Subset

    Path("report").mkdir()
    digits = Subset(Digits("validation"), range(30))
    write_report(Path("report"), keras_sknet.SKNetSmall(), digits, units=["sk_3_1"])
    ```
    """
    for module in ("jinja2", "matplotlib.figure"):
        import_extra(module)  # now rather than when the images are through
    known = _unit_names(model, source)
    units = default_units(known) if units is None else named("units", units, known)
    require(units, "units", "one unit or more", units=units)
    response = scale_response(model, source, scales)
    response.write_csv(folder / "units.csv")
    response.write_csv(folder / "classes.csv", by_class=True)
    _write_images(folder / "images.csv", source, response)
    (folder / "figures").mkdir()
    figures = []
    for name, title, caption, draw in _figures(model, source, response, units):
        figure = draw()
        for suffix in ("png", "svg"):
            figure.savefig(folder / "figures" / f"{name}.{suffix}")
        figures.append({"title": title, "caption": caption, "svg": _inline(figure, title)})
    page = _template().render(
        figures=figures,
        response=response,
        overall=_table(response.rows()),
        by_class=_table(response.rows(units, by_class=True)),
        units=units,
        risen=_risen(response),
        facts=facts or {},
    )
    (folder / "index.html").write_text(page, encoding="utf-8", errors="backslashreplace")
    return response


def _unit_names(model, source):
    """Names of a model's units, found out on one image, so that a wrong one shows before the work is done."""
    require_units(model)
    image = pick_images(model, source, [0])[0]
    with record_attention() as scores:
        model(image[None], training=False)
    return list(kernel_sizes(model, scores))


def _figures(model, source, response, units):
    """Name, title, caption and drawing function of every figure."""
    scales = " and ".join(f"{scale}×" for scale in response.scales[:2])
    places = (np.arange(min(EXAMPLES, len(response))) + 0.5) * len(response) / min(EXAMPLES, len(response))
    examples = [int(place) for place in places]
    middle = units[len(units) // 2]

    def channels():
        images = pick_images(model, source, examples)
        titles = [response.class_name(index)[:16] for index in examples]
        stack = np.stack([images[index] for index in examples])
        return draw_channels(model, stack, middle, response.scales, titles)

    yield (
        "units",
        "Difference between the largest and the smallest kernel, by unit",
        "Attention of the largest kernel minus that of the smallest, mean over channels and images; below, "
        f"its change from {response.scales[0]}× with the 95 % interval of a paired bootstrap over images.",
        lambda: draw_units(response),
    )
    yield (
        "channels",
        f"What the channels of {middle} choose as the object grows",
        "Figure 3 of the paper, for images from all over the data: each at every scale, the attention of the "
        "largest kernel by channel, and the difference by unit.",
        channels,
    )
    yield (
        "classes",
        f"Difference by class at {scales}",
        "Figure 4 of the paper: a panel for each unit.",
        lambda: draw_classes(response, units),
    )
    for number, unit in enumerate(units, 1):
        yield (
            f"contact_sheet_{number}",
            f"Images that choose the large kernel most and least in {unit}",
            f"At {response.scales[0]}×, with the difference and the class.",
            lambda unit=unit: draw_contact_sheet(model, source, response, unit),
        )


def _write_images(path, source, response):
    units = {unit: response.difference(unit) for unit in response.units}
    columns = [f"{unit} {scale}" for unit in units for scale in response.scales]
    values = np.concatenate(list(units.values()), axis=1).tolist()
    rows = ([describe(source, index), response.class_name(index), *row] for index, row in enumerate(values))
    write_rows(path, ("image", "class_name", *columns), rows)


def _table(rows):
    """Rows at all scales but the first, each with what is there at the first."""
    first = {(row.unit, row.class_name): row for row in reversed(rows)}
    return [
        (first[row.unit, row.class_name], row)
        for row in rows
        if row.scale != first[row.unit, row.class_name].scale
    ]


def _risen(response):
    """How many units give the largest kernel more at the last scale, less, or neither for certain."""
    last = [row for row in response.rows() if row.scale == response.scales[-1]]
    more = sum(row.change_low > 0 for row in last)
    less = sum(row.change_high < 0 for row in last)
    return {"more": more, "less": less, "unclear": len(last) - more - less}


def _inline(figure, title):
    """A figure as an SVG element whose ink has the colour of the page's text.

    Matplotlib draws names as outlines and escapes them in comments, so that the page may take it as it is.
    """
    file = io.BytesIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue().decode("utf-8")
    svg = svg[svg.index("<svg") :].replace(INK, "var(--ink)").replace(MUTED, "var(--muted)")
    # Names inside an element are the document's: every figure gets its own.
    prefix = re.sub(r"\W", "", title)
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    label = html.escape(title, quote=True)
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def _template():
    jinja2 = import_extra("jinja2")
    source = importlib.resources.files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["signed"] = lambda value: f"{value:+.4f}".replace("-", "\N{MINUS SIGN}")
    return environment.from_string(source)
