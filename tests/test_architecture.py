import ast
from pathlib import Path

import pytest

import keras_sknet

PACKAGE = Path(__file__).resolve().parent.parent / "keras_sknet"
FLOORS = {
    "validation": -1,  # the wording of errors
    "extras": -1,  # and of missing packages
    "files": -0.5,
    "figures": -0.5,
    "ops": 0,
    "layers": 1,
    "optimizers": 1,
    "weights": 1.5,  # of the layers, for the models
    "models": 2,
    "complexity": 2,
    "data": 2,
    "training": 3,
    "export": 3,
    "evaluation": 3,
    "analysis": 3,
    "integrations": 3,
    "": 4,  # keras_sknet/__init__.py, the public names
    "cli": 5,
    "__main__": 6,
}
TENSORFLOW_FREE = ("ops", "layers", "weights", "models", "complexity")
HEAVY = (
    *("matplotlib", "jinja2", "sklearn", "tqdm", "tensorflow_datasets"),
    *("keras_cv", "keras_hub", "zeromodels"),
    *("huggingface_hub", "safetensors"),
    *("ai_edge_litert", "onnx", "tf2onnx", "onnxruntime", "openvino"),
)
PRIVATE = (
    "keras.src",
    "tensorflow.python",
    "tensorflow.__internal__",
    "tf.python",
    "tf.__internal__",
    "keras_cv.src",
    "keras_hub.src",
)
PICKLES = ("pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal")


def sources():
    """{dotted name under keras_sknet: (syntax tree, is a package)}"""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8")), is_package
    assert {"", "ops", "layers", "models"} <= set(found)
    return found


def imported(nodes, name="", is_package=True):
    """Absolute dotted names that the import statements among `nodes` bring into the module `name`."""
    package = ("keras_sknet." + name).rstrip(".").split(".")
    if not is_package:
        package.pop()
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*base, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def within(name, prefixes):
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def import_time(tree):
    """Nodes that run when the module is imported: all but those inside functions."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


def floor_offences(tree, name, is_package):
    unit = name.partition(".")[0]
    for target in imported(ast.walk(tree), name, is_package):
        if not within(target, ["keras_sknet"]):
            continue
        other = target.split(".")[1] if "." in target else ""
        other = other if other in FLOORS else ""  # a public name, taken from keras_sknet itself
        if other != unit and FLOORS[other] >= FLOORS[unit]:
            yield f"{name or '__init__'} imports {target}"


def private_offences(tree):
    for target in imported(ast.walk(tree)):
        if within(target, PRIVATE):
            yield f"imports {target}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if node.attr == "_flatten_layers" or ast.unparse(node) in PRIVATE:
                yield f"uses {ast.unparse(node)}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value == "_flatten_layers" or within(node.value, PRIVATE):
                yield f"names {node.value!r}"


def pickle_offences(tree):
    for target in imported(ast.walk(tree)):
        if within(target, PICKLES):
            yield f"imports {target}"
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            if not (isinstance(node.value, ast.Constant) and node.value.value is False):
                yield f"passes allow_pickle={ast.unparse(node.value)}"


def test_every_part_has_a_floor():
    assert {name.partition(".")[0] for name in sources()} <= set(FLOORS)


def test_imports_point_downwards():
    offences = [list(floor_offences(tree, name, package)) for name, (tree, package) in sources().items()]
    assert sum(offences, []) == []


def test_private_parts_are_used_in_one_file():
    offences = {name: list(private_offences(tree)) for name, (tree, _) in sources().items()}
    assert {name: found for name, found in offences.items() if found and name != "ops._private"} == {}


def test_no_pickle_is_read():
    offences = {name: list(pickle_offences(tree)) for name, (tree, _) in sources().items()}
    assert {name: found for name, found in offences.items() if found} == {}


def test_tensorflow_is_not_needed_to_import_the_lower_floors():
    # A module may be TensorFlow's alone if no other one imports it before it is needed.
    top = {name: list(imported(tree.body, name, package)) for name, (tree, package) in sources().items()}
    alone = [
        name for name, targets in top.items() if any(within(target, ["tensorflow"]) for target in targets)
    ]
    alone = [f"keras_sknet.{name}" for name in alone if name.partition(".")[0] in TENSORFLOW_FREE]
    offences = [
        (name, target) for name, targets in top.items() for target in targets if within(target, alone)
    ]
    assert offences == []
    assert not any(name == f"keras_sknet.{unit}" for name in alone for unit in TENSORFLOW_FREE)


def test_heavy_parts_are_imported_where_they_are_used():
    offenders = [
        (name, target)
        for name, (tree, _) in sources().items()
        for target in imported(import_time(tree))
        if within(target, HEAVY)
    ]
    assert offenders == []


def test_the_package_imports_without_the_heavy_parts(run_python):
    # None in sys.modules makes an import fail; Keras imports some of these by itself, and copes.
    blocked = f"import sys; sys.modules.update(dict.fromkeys({HEAVY!r}))"
    assert run_python(f"{blocked}; import keras_sknet; print(keras_sknet.__name__)") == "keras_sknet\n"


def test_every_part_is_there_after_the_import(run_python):
    parts = [path.parent.name for path in PACKAGE.glob("*/__init__.py") if path.parent.name != "cli"]
    assert {"training", "evaluation", "ops"} <= set(parts)
    code = f"import keras_sknet; print([name for name in {parts!r} if not getattr(keras_sknet, name)])"
    assert run_python(code) == "[]\n"
    code = "import sys, keras_sknet; print('keras_sknet.training' in sys.modules, hasattr(keras_sknet, 'x'))"
    assert run_python(code) == "False False\n"
    code = (
        "from keras_sknet import *; print(export_tflite.__name__, scale_response.__name__, SKNet50.__name__)"
    )
    assert run_python(code) == "export_tflite scale_response SKNet50\n"


def test_type_checkers_know_what_is_imported_later():
    tree, _ = sources()[""]
    (known,) = (node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(known.test) == "TYPE_CHECKING"
    names = {target.rpartition(".")[2]: target.split(".")[1] for target in imported(known.body)}
    assert names == keras_sknet._FUNCTIONS


@pytest.mark.parametrize(
    "name, source",
    [
        ("ops.x", "from keras_sknet import layers"),
        ("ops.x", "import keras_sknet.layers.gates"),
        ("layers.x", "def f():\n    from ..models.residual import residual_network"),
        ("models", "from . import complexity\nfrom .. import complexity"),
        ("training.x", "from keras_sknet.export import export_tflite"),
        ("layers.x", "from keras_sknet import SKNet50"),
        ("", "from . import cli"),
    ],
)
def test_the_check_finds_an_import_that_points_upwards(name, source):
    assert len(list(floor_offences(ast.parse(source), name, "." not in name))) == 1


@pytest.mark.parametrize(
    "name, source",
    [
        ("models.x", "from keras_sknet import layers, ops\nfrom .residual import y\nfrom ..layers import z"),
        ("cli", "from keras_sknet import SKNet50, __version__\nfrom . import train\nimport keras"),
        ("__main__", "from keras_sknet.cli import main"),
    ],
)
def test_the_check_lets_an_import_that_points_downwards_pass(name, source):
    assert list(floor_offences(ast.parse(source), name, "." not in name and name != "__main__")) == []


@pytest.mark.parametrize(
    "offences, source",
    [
        (private_offences, "from keras.src import backend"),
        (private_offences, "from keras.src.backend import tensorflow"),
        (private_offences, "from tensorflow.python.framework import ops"),
        (private_offences, "x = tf.python.eager.context()"),
        (private_offences, "x = tf.__internal__.get_enclosing_xla_context()"),
        (private_offences, "import importlib\nimportlib.import_module('keras.src.ops')"),
        (private_offences, "layers = model._flatten_layers()"),
        (private_offences, "layers = getattr(model, '_flatten_layers')()"),
        (pickle_offences, "def f():\n    import pickle"),
        (pickle_offences, "from joblib import load"),
        (pickle_offences, "x = np.load(path, allow_pickle=True)"),
    ],
)
def test_the_check_finds_what_it_forbids(offences, source):
    assert len(list(offences(ast.parse(source)))) == 1
    assert list(offences(ast.parse("import keras, tensorflow\nnp.load(path, allow_pickle=False)"))) == []
