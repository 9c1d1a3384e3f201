import csv
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from matplotlib.image import imread

import keras_sknet
from checks import randomize
from keras_sknet import scale_response
from keras_sknet.cli import main
from keras_sknet.data import Subset, open_source
from nets import small, tiny

CLASSES = ("Gänse & <b>blümchen</b>", "$cat^$", "--><script>alert(1)</script>")
BROWSER = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network, and photographs of three classes whose names are no HTML."""
    folder = tmp_path_factory.mktemp("analyze")
    model = tiny()
    randomize(model)
    model.save(folder / "net.keras")
    random = np.random.default_rng(0)
    for name in CLASSES:
        # A name of a folder has no slash.
        place = folder / "images" / "validation" / name.replace("/", "∕")
        place.mkdir(parents=True)
        for number in range(5):
            pixels = random.integers(0, 256, (5, 6, 3)).repeat(8, 0).repeat(8, 1)
            (place / f"{number}.png").write_bytes(tf.io.encode_png(tf.constant(pixels, "uint8")).numpy())
    for split in ("train", "test"):
        shutil.copytree(folder / "images" / "validation", folder / "images" / split)
    return folder


@pytest.fixture(scope="module")
def report(folder):
    """The folder of a report on 12 of 15 images; an empty one was there before."""
    (folder / "report").mkdir()
    arguments = ["--data", f"folder:{folder / 'images'}", "--images", "12", "--units", "sk_3_1", "sk_5_1"]
    arguments += ["--scales", "1", "2", "-o", str(folder / "report")]
    assert main(["analyze", str(folder / "net.keras"), *arguments]) == 0
    return folder / "report"


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class Page(HTMLParser):
    """Tags with their attributes, the texts of cells and the values that they are sorted by."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data.strip())


@pytest.fixture(scope="module")
def page(report):
    return Page((report / "index.html").read_text(encoding="utf-8"))


def test_it_writes_figures_numbers_and_report(report):
    figures = ["channels", "classes", "contact_sheet_1", "contact_sheet_2", "units"]
    names = [f"figures/{name}.{suffix}" for name in figures for suffix in ("png", "svg")]
    files = [str(path.relative_to(report)) for path in report.rglob("*") if path.is_file()]
    assert sorted(files) == sorted([*names, "classes.csv", "images.csv", "index.html", "units.csv"])
    assert all(imread(report / name).min() < 0.5 for name in names if name.endswith("png"))
    assert not list(report.parent.glob(".report*"))


def test_the_numbers_are_those_of_the_function(folder, report):
    images = read(report / "images.csv")
    source = open_source(f"folder:{folder / 'images'}", "validation")
    paths = [source.describe(index) for index in range(15)]
    chosen = [paths.index(row["image"]) for row in images]
    assert len(set(chosen)) == 12 and all(Path(path).is_file() for path in paths)
    model = keras.models.load_model(folder / "net.keras")
    response = scale_response(model, Subset(source, chosen), (1.0, 2.0))
    differences = [float(row["sk_3_1 2.0"]) for row in images]
    np.testing.assert_allclose(differences, response.difference("sk_3_1")[:, 1], atol=1e-5)
    for file, by_class in (("units.csv", False), ("classes.csv", True)):
        for found, row in zip(read(report / file), response.rows(by_class=by_class), strict=True):
            for name, value in row._asdict().items():
                expected = value if isinstance(value, str) else pytest.approx(value, abs=1e-5)
                assert type(value)(found[name]) == expected


def test_the_page_needs_nothing_else(report, page):
    """Links lead to the files beside it; whatever is loaded is inside."""
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"link", "iframe", "img", "object", "embed", "base"}
    for tag, attributes in page.tags:
        assert "src" not in attributes
        if tag == "a":
            assert (report / attributes["href"]).is_file()
        else:
            for name in ("href", "xlink:href"):
                assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,"))
    assert "default-src 'none'" in next(a["content"] for _, a in page.tags if "http-equiv" in a)


def test_names_are_text_and_no_markup(page):
    texts = " ".join(page.texts)
    for name in CLASSES:
        assert name.replace("/", "∕") in texts
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not {"b", "cat"} & {tag for tag, _ in page.tags}


def test_references_inside_figures_are_met(page):
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids)) > 50
    used = [attributes.get("xlink:href", "") for _, attributes in page.tags]
    used += [re.sub(r"url\((.*)\)", r"\1", attributes.get("clip-path", "")) for _, attributes in page.tags]
    assert {name[1:] for name in used if name.startswith("#")} <= set(ids)


def test_it_says_how_it_came_about(folder, page):
    texts = " ".join(page.texts)
    assert f"keras-sknet analyze {folder / 'net.keras'} --data" in texts
    assert "12 of 15, validation of folder:" in texts
    assert f"keras {keras.__version__}" in texts and f"keras_sknet {keras_sknet.__version__}" in texts
    assert sum(tag == "tr" for tag, _ in page.tags) == 2 + 4 + 2 * 3  # heads; units; units by class


def error_of(capsys, *arguments):
    try:
        code = main(["analyze", *map(str, arguments)])
    except SystemExit as exit:
        code = exit.code
    out, err = capsys.readouterr()
    assert code == 2 and "Traceback" not in err
    return err.splitlines()[-1].removeprefix("keras-sknet: error: ")


def test_mistakes_are_one_line_and_leave_nothing(folder, tmp_path, capsys):
    small().save(tmp_path / "other.keras")
    net, other, output = folder / "net.keras", tmp_path / "other.keras", tmp_path / "out"
    digits = ("--data", "digits", "--images", "4", "-o", output)
    for arguments, text in {
        (other, *digits): "`model` must be one with SK units of two branches or more",
        (net, *digits, "--units", "sk_31"): "`units` must be one of the 4 there are, such as ['sk_3_1'",
        (
            net,
            *digits,
            "--scales",
            "0.5",
            "1",
        ): "`scales` must be two numbers or more, of 1 or more, ascending",
        (net, *digits, "--scales", "2"): "`scales` must be two numbers or more",
        (net, *digits, "--scales", "x"): "argument --scales: invalid float value: 'x'",
        (net, *digits, "--images", "0"): "argument --images: must be a whole number above 0",
        (net, "--data", "digit", "-o", output): "`text` must be 'digits'",
        (
            net,
            "--data",
            "digits",
            "-o",
            tmp_path,
        ): f"argument --output: {str(tmp_path)!r} exists and is no empty",
        (net, "--data", "digits", "-o", other): "argument --output:",
        (
            net,
            "--data",
            "digits",
            "--images",
            "4",
            "-o",
            output / "x",
        ): "`path` must be in a folder that exists",
        (tmp_path / "no.keras", *digits): "argument MODEL.keras:",
    }.items():
        assert text in error_of(capsys, *arguments), arguments
        assert [path.name for path in tmp_path.iterdir()] == ["other.keras"]


def test_a_damaged_image_is_named(folder, tmp_path, capsys):
    shutil.copytree(folder / "images", tmp_path / "images")
    damaged = sorted((tmp_path / "images" / "validation").rglob("*.png"))[7]
    damaged.write_bytes(damaged.read_bytes()[:-30])
    arguments = ("--data", f"folder:{tmp_path / 'images'}", "-o", tmp_path / "out")
    assert damaged.name in error_of(capsys, folder / "net.keras", *arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


@pytest.mark.slow
def test_a_full_disk_leaves_nothing(folder, tmp_path, run_python):
    code = """
import resource, signal, sys
from keras_sknet.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
sys.stderr = sys.stdout
print("code", main(sys.argv[1:]))
"""
    arguments = ["--data", "digits", "--images", "10", "-o", tmp_path / "out"]
    printed = run_python(code, "analyze", folder / "net.keras", *arguments)
    said = f"keras-sknet: error: [Errno 27] Cannot write here (File too large): '{tmp_path}/out'"
    assert "code 2" in printed and said in printed
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def chromium(require):
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    require(found, "chromium")
    return found


def browse(chromium, page, profile, *options):
    command = [chromium, *BROWSER, f"--user-data-dir={profile}", *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("scheme, setting", [("light", 1), ("dark", 0)])
def test_a_browser_shows_it_in_light_and_dark(scheme, setting, report, chromium, tmp_path):
    shot = tmp_path / "shot.png"
    options = ["--window-size=1200,3600", f"--screenshot={shot}"]
    browse(
        chromium,
        report / "index.html",
        tmp_path / "p",
        f"--blink-settings=preferredColorScheme={setting}",
        *options,
    )
    pixels = (imread(shot)[..., :3] * 255).round()
    ground, ink = ((255, 255, 255), (34, 34, 34)) if scheme == "light" else ((22, 24, 28), (232, 232, 232))
    assert (np.abs(pixels - ground).max(axis=-1) < 3).mean() > 0.4
    # Text of the page and of the figures, over the whole height.
    written = (np.abs(pixels - ink).max(axis=-1) < 40).any(axis=1)
    assert all(part.any() for part in np.array_split(written, 8))
    # The lines of the figures: the blue of the first scale.
    assert (np.abs(pixels - (0, 114, 178)).max(axis=-1) < 12).sum() > 300


@pytest.mark.slow
def test_a_click_sorts_and_the_console_is_empty(report, chromium, tmp_path):
    """The page's own script sorts numbers as numbers, up, then down."""
    text = (report / "index.html").read_text(encoding="utf-8")
    probe = """<script>
const heads = document.querySelectorAll("thead th");
const change = [...heads].findIndex(head => head.innerText.startsWith("change"));
const seen = [];
for (let click = 0; click < 2; click++) {
  heads[change].firstElementChild.click();
  const rows = [...heads[change].closest("table").tBodies[0].rows];
  seen.push(rows.map(row => parseFloat(row.cells[change].dataset.value)));
}
document.title = JSON.stringify(seen);
</script></body>"""
    (tmp_path / "index.html").write_text(text.replace("</body>", probe), encoding="utf-8")
    options = ["--dump-dom", "--enable-logging=stderr"]
    done = browse(chromium, tmp_path / "index.html", tmp_path / "p", *options)
    up, down = eval(re.search(r"<title>(.*?)</title>", done.stdout)[1])
    assert up == sorted(up) and down == up[::-1] and len(up) == 4
    assert "CONSOLE" not in done.stderr
