"""How the figures of the analysis look: colours that the colour-blind tell apart, a marker for each."""

from keras_sknet.extras import import_extra
from keras_sknet.figures import INK, MUTED

# Okabe and Ito's: blue, then warmer as the scale grows.
SCALE_COLOURS = ("#0072B2", "#E69F00", "#D55E00", "#CC79A7", "#009E73", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")


def scale_style(number, markersize=4):
    """Returns colour and marker of a line, by the number of its scale."""
    place = number % len(MARKERS)
    return {"color": SCALE_COLOURS[place], "marker": MARKERS[place], "markersize": markersize}


def scale_legend(figure, axis):
    """Puts one legend above all panels, of the lines of one of them."""
    handles, labels = axis.get_legend_handles_labels()
    look = {"fontsize": 8, "labelcolor": INK, "frameon": False}
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels), **look)


def plain(axis):
    """Takes the box off a panel and dims its labels."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["bottom", "left"]].set_color(MUTED)
    axis.tick_params(labelsize=8, colors=INK)
    return axis


def literal_text(figure):
    """Shows names as they are, where Matplotlib would take what is between dollars for a formula."""
    for text in figure.findobj(import_extra("matplotlib.text").Text):
        text.set_parse_math(False)
    return figure


def show_image(axis, image, low=None, high=None):
    """Shows an image without axes; its values are spread over 0–255 if they lie elsewhere.

    Of more than three channels the first three are shown, of two the first one.
    """
    axis.set_axis_off()
    image = image[..., : 3 if image.shape[-1] >= 3 else 1]
    low, high = image.min() if low is None else low, image.max() if high is None else high
    if low < 0 or high > 255 or high <= 1:
        image = (image - low) / max(high - low, 1e-12) * 255
    axis.imshow(image.clip(0, 255).astype("uint8").squeeze(), cmap="gray", interpolation="nearest")
