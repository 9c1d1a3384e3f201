"""Mistakes on the command line of `keras-sknet train`, its help, and the module as a command."""

import re
import subprocess
import sys

import pytest

import keras_sknet
from commands import error_of
from keras_sknet.cli import main
from keras_sknet.data import digits
from train_runs import CATS, FILES, ROOT, write_images


@pytest.mark.parametrize(
    "images, options, message",
    [
        ([], "folder:{}", "`path` must be|`text` must be"),
        ([("cat", 40)] * 9, "folder:{}", "two classes or more"),
        (CATS, "folder:{} --size 64", "`size` must be no more than the images' height and width"),
        (CATS, "folder:{} --batch-size 9", "`batch_size` must be no more than the images to train on"),
        (CATS, "folder:{} --recipe digits", "argument --recipe: digits is for --data digits"),
        ([], "folder:{}-none", "folder"),
        ([], "digit", "did you mean 'digits'"),
        ([], "tfds:cifar11", "cifar10"),
    ],
)
def test_bad_data_is_one_line(images, options, message, tmp_path, capsys):
    folder = tmp_path / "pets"
    folder.mkdir()
    for split in ("train", "validation"):
        write_images(folder, images, split)
    command = ["train", "--size", "32", "--batch-size", "8", "--no-export", "--output", tmp_path / "run"]
    code, err = error_of(capsys, *command, "--data", *options.format(folder).split())
    assert code == 2
    assert err.startswith("keras-sknet: error: ") and err.count("\n") == 1
    assert re.search(message, err), err
    assert not (tmp_path / "run").exists()


def test_a_faulty_test_split_is_told_and_not_replaced(tmp_path, capsys):
    for split in ("train", "validation", "test"):
        write_images(tmp_path / "pets", CATS, split)
    (tmp_path / "pets" / "test" / "cow").mkdir()
    command = ["train", "--data", f"folder:{tmp_path / 'pets'}", "--size", "32", "--batch-size", "8"]
    code, err = error_of(capsys, *command, "--no-export", "--output", tmp_path / "run")
    assert code == 2 and "with the same classes in 'train' and 'test'" in err and "additional=['cow']" in err


def test_a_class_without_good_training_images_is_told(tmp_path, capsys):
    for split in ("train", "validation"):
        write_images(tmp_path / "pets", CATS, split)
    for path in (tmp_path / "pets" / "train" / "cat").iterdir():
        path.write_bytes(b"junk")
    command = ["train", "--data", f"folder:{tmp_path / 'pets'}", "--size", "32", "--batch-size", "2"]
    code, err = error_of(capsys, *command, "--skip-corrupt", "--no-export", "--output", tmp_path / "run")
    assert code == 2 and "each class has images that can be read. Received: without=['cat']" in err


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("", "the following arguments are required: COMMAND"),
        ("trian", "argument COMMAND: invalid choice: 'trian' (choose from 'train', "),
        ("train --model SKNet51", "argument --model: invalid choice: 'SKNet51' (choose from '"),
        ("train --average 1", "argument --average: must be a number from 0 to below 1, not '1'"),
        ("train --strategy mirrored", "argument --strategy: `replicas` must be a number where there are no"),
        ("train --replicas 2", "argument --replicas: only with --strategy mirrored"),
        (
            "train --strategy mirrored --replicas 2 --accumulation 2",
            "argument --accumulation: not together with --strategy",
        ),
        ("train --accumulation 3", "`accumulation` must be a divisor of `batch_size`. Received: accumulat"),
        ("train --epochs 0", "argument --epochs: must be a whole number above 0, not '0'"),
        ("train --epochs 1.5", "argument --epochs: must be a whole number above 0, not '1.5'"),
        ("train --batch-size -1", "argument --batch-size: must be a whole number above 0, not '-1'"),
        ("train --batch-size 4000", "`batch_size` must be no more than the images to train on. Received:"),
        ("train --learning-rate 0", "argument --learning-rate: must be a number above 0, not '0'"),
        ("train --learning-rate nan", "argument --learning-rate: must be a number above 0, not 'nan'"),
        ("train --learning-rate inf", "argument --learning-rate: must be a number above 0, not 'inf'"),
        ("train --seed -1", "argument --seed: must be a whole number from 0 to 4294967295, not '-1'"),
        ("train --seed 4294967296", "argument --seed: must be a whole number from 0 to 4294967295"),
        ("train --epoch 3", "unrecognized arguments: --epoch 3"),
        ("train digits", "unrecognized arguments: digits"),
    ],
)
def test_bad_arguments_are_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, err = error_of(capsys, *arguments.split())
    assert code == 2
    assert err.startswith(f"keras-sknet: error: {message}") and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine")
    code, err = error_of(capsys, "train", "--output", tmp_path)
    assert code == 2
    assert err == (
        f"keras-sknet: error: argument --output: {str(tmp_path)!r} exists and is no empty folder: "
        "name another\n"
    )
    code, err = error_of(capsys, "train", "--output", tmp_path / "thesis.txt")
    assert code == 2 and "exists and is no empty folder" in err
    code, err = error_of(capsys, "train", "--output", tmp_path / "thesis.txt" / "run")
    assert code == 2 and err.startswith("keras-sknet: error: ") and err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    assert (tmp_path / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("batch", [8, 96], ids=["in training", "seen in validation only"])
def test_a_loss_that_explodes_is_one_line(few_digits, batch, tmp_path, capsys):
    command = ("train", "--epochs", 1, "--learning-rate", "1e38", "--output", tmp_path / "run")
    command += ("--batch-size", batch)
    code, err = error_of(capsys, *command)
    assert code == 2
    text = r"^keras-sknet: error: The loss is not finite from step \d on, in epoch 1: .*e\+\d\d$"
    assert re.search(text, err, re.M), err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "module, package, extra",
    [
        ("sklearn", "scikit-learn", "train"),
        ("matplotlib", "matplotlib", "train"),
        ("onnxruntime", "onnxruntime", "onnx"),
    ],
)
def test_a_missing_package_is_said_before_training(module, package, extra, uninstalled, tmp_path, capsys):
    uninstalled(module)
    digits._bank.cache_clear()
    code, err = error_of(capsys, "train", "--output", tmp_path / "run")
    assert code == 2
    assert err == f'keras-sknet: error: {package} is not installed: pip install "keras_sknet[{extra}]"\n'
    assert list(tmp_path.iterdir()) == []


def test_help_names_every_option_with_its_default(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for option in ("model", "data", "recipe", "epochs", "batch-size", "seed", "output", "strategy"):
        assert f" --{option} " in text
    for file in FILES:
        assert file in text
    assert "12, 18 and 24 pixels" in text and "last 360 are held out" in text
    assert "default: the recipe's" in text and "default: sknet-run" in text


def test_the_module_runs_as_the_command():
    command = [sys.executable, "-m", "keras_sknet", "--version"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed == f"keras-sknet {keras_sknet.__version__}\n"
