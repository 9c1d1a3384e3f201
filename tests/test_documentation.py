"""Docstrings follow the house's template, and every example in them and in the README runs."""

import ast
import dataclasses
import inspect
import re
import runpy
import textwrap
import types
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_sknet
from keras_sknet import analysis, data, evaluation, export, layers, models, ops, training, validation
from keras_sknet.analysis.figures import attention_by_scale
from keras_sknet.integrations import keras_cv, keras_hub

README = Path(keras_sknet.__file__).resolve().parent.parent / "README.md"
MODULES = (keras_sknet, layers, models, ops, export, data, training, evaluation, analysis)
NETWORKS = {name for name in vars(models) if name[0].isupper()}
# In the order of the template.
SECTIONS = ["Args", "Input shape", "Output shape", "Returns", "Yields", "Raises", "Example", "Reference"]
# Networks have one example, in which only the name differs.
SLOW = NETWORKS - {"SKNet50", "SKNetSmall", "CBAMResNeXt50"} | {"fit", "finetune", "paper_table"}


def public_objects():
    """{name: class, function or method} that users meet."""
    found = {
        name: value
        for module in MODULES
        for name in dir(module)
        if not name.startswith("_") and isinstance(value := getattr(module, name), type | types.FunctionType)
    }
    assert all(value.__module__.startswith("keras_sknet.") for value in found.values())
    for layer in (layers.SelectiveKernel, layers.SKBottleneck):
        found[f"{layer.__name__}.attention"] = layer.attention
    for module in (keras_cv, keras_hub):
        found |= {
            f"{name} ({module.__name__.rpartition('.')[2]})": value
            for name, value in vars(module).items()
            if name.startswith("SKNet")
        }
    return {**found, "attention_by_scale": attention_by_scale}


PUBLIC = public_objects()
WITH_EXAMPLE = [name for name in PUBLIC if "." not in name]


def docstring(value):
    """The docstring that a class or function has itself, inherits none, without indentation."""
    text = vars(value).get("__doc__") if isinstance(value, type) else value.__doc__
    assert text, "no docstring"
    return inspect.cleandoc(text)


def sections(text):
    """{title: text} of a docstring; what comes before the first is its "summary"."""
    parts = re.split(rf"^({'|'.join(SECTIONS)}):$", text, flags=re.MULTILINE)
    assert len(parts[1::2]) == len(set(parts[1::2])), "a section comes twice"
    return {"summary": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def described_arguments(text):
    """{name: description} of an "Args" section."""
    entries = re.split(r"^(\*{0,2}\w+): ", textwrap.dedent(text).strip("\n"), flags=re.MULTILINE)
    assert entries[0] == "", f"no argument: {entries[0]!r}"
    return dict(zip(entries[1::2], entries[2::2], strict=True))


def python_blocks(text):
    """[(code, slow)] of the fenced Python blocks; slow are those right behind `<!-- slow -->`."""
    blocks = re.findall(r"^(<!-- slow -->\n+)?```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(code, bool(slow)) for slow, code in blocks]


def run(code, namespace):
    """Runs code. A tuple or number that begins a comment behind a line must be its value's shape or value."""
    exec(compile(code, "<example>", "exec"), namespace)
    lines = code.splitlines()
    for node in ast.parse(code).body:
        said = re.search(r"  # (?:this should give )?(\((?:\w+,? ?)+\)|\d+)", lines[node.end_lineno - 1])
        if said and isinstance(node, ast.Expr | ast.Assign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.value
            value = eval(ast.unparse(target), namespace)
            if isinstance(value, tuple) and hasattr(value[0], "shape"):
                value = value[0]
            found = tuple(value.shape) if hasattr(value, "shape") else value
            assert found == ast.literal_eval(said[1]), f"{ast.unparse(node)}  # {found}"


def called_names(value):
    tree = ast.parse(textwrap.dedent(inspect.getsource(value)))
    return {
        node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and hasattr(node.func, "id")
    }


def returns_value(function):
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return any(isinstance(node, ast.Return) and node.value is not None for node in ast.walk(tree))


def check_arguments(value, section):
    parameters = [
        parameter
        for parameter in inspect.signature(value).parameters.values()
        if parameter.name != "self" and parameter.kind is not parameter.VAR_POSITIONAL
    ]
    described = described_arguments(section) if section else {}
    names = list(described)
    if names and names[-1] == "**kwargs":
        # It stands for the rest, of which some may be named, and more than these be the class's own.
        common = min(len(names), len(parameters)) - 1
        names, parameters = names[:common], parameters[:common]
    assert names == [parameter.name for parameter in parameters]
    for parameter in parameters:
        if parameter.default is not parameter.empty:
            assert "default" in described[parameter.name].lower(), f"the default of {parameter.name}"


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring_follows_the_template(name):
    value = PUBLIC[name]
    found = sections(docstring(value))
    assert re.fullmatch(r"[A-Z0-9`].+[.:]", found["summary"].splitlines()[0]), "the first line is a sentence"
    assert list(found)[1:] == [title for title in SECTIONS if title in found], "the order of the sections"
    check_arguments(value, found.get("Args"))

    is_class = isinstance(value, type)
    shaped = name in NETWORKS or (is_class and issubclass(value, keras.Layer))
    assert ("Input shape" in found, "Output shape" in found) == (shaped, shaped)
    manager = hasattr(value, "__wrapped__")
    if not is_class and not manager:
        assert ("Returns" in found) == (name in NETWORKS or returns_value(value))
    # Of plain data, whoever takes it makes the checks.
    plain = is_class and (hasattr(value, "_fields") or dataclasses.is_dataclass(value))
    if not plain and called_names(value) & set(vars(validation)):
        assert re.search(r"^ +\w+Error: ", found.get("Raises", ""), re.MULTILINE), "which errors it raises"
    if name in WITH_EXAMPLE:
        assert len(python_blocks(found.get("Example", ""))) == 1, "one example"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in WITH_EXAMPLE]
)
def test_example_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = python_blocks(docstring(PUBLIC[name]))
    assert blocks
    for code, _ in blocks:
        run(code, {"keras": keras, "keras_sknet": keras_sknet, "np": np})


BLOCKS = python_blocks(README.read_text(encoding="utf-8")) if README.exists() else []


@pytest.mark.parametrize(
    "with_slow",
    [False, pytest.param(True, marks=pytest.mark.slow)] if any(slow for _, slow in BLOCKS) else [False],
)
def test_examples_of_the_readme_run_in_order(with_slow, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for code, slow in BLOCKS:
        if with_slow or not slow:
            run(code, namespace)


def test_the_page_of_public_names_is_true():
    script = runpy.run_path(str(README.parent / "docs" / "api.py"))
    text = script["PAGE"].read_text(encoding="utf-8")
    assert text == script["page"]()
    assert all(f"| `{name}` |" in text for name in WITH_EXAMPLE if " (" not in name)


def test_blocks_are_found_with_their_marks():
    text = "a\n```python\nx = 1\n```\n```sh\nls\n```\n<!-- slow -->\n\n```python\ny = 2\n\nz = 3\n```\n"
    assert python_blocks(text) == [("x = 1\n", False), ("y = 2\n\nz = 3\n", True)]


@pytest.mark.parametrize(
    "code, right, wrong",
    [
        ("x = np.zeros((2, 3))", "(2, 3)", "(2, 4)"),
        ("np.zeros((2, 3)).shape", "this should give (2, 3): rows, columns", "this should give (3, 2)"),
        ("x, y = np.zeros(3), 0", "(3,), an array", "(4,), an array"),
        ("(None, 2)", "(None, 2)", "(None, 3)"),
        ("1 + 1", "2", "3, not more"),
    ],
)
def test_a_wrong_comment_is_found(code, right, wrong):
    run(f"{code}  # {right}", {"np": np})
    with pytest.raises(AssertionError, match=r"  # "):
        run(f"{code}  # {wrong}", {"np": np})
