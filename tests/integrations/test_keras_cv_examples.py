"""examples/detect.py and segment.py: what they count, and that both learn."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
pytestmark = [
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="KerasCV's data and losses need it"),
    pytest.mark.filterwarnings("ignore:The structure of `inputs` doesn't:UserWarning:keras.src.models"),
    # Of RetinaNet; the example compiles it again.
    pytest.mark.filterwarnings("ignore:`compile..` was not called as part of model loading:UserWarning"),
]


@pytest.fixture(scope="module")
def examples():
    """`examples(name)`: a script as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        yield importlib.import_module


def coco_ap50(boxes, classes, found):
    """AP50 of arrays as the examples have them, by COCO's own code, where ids begin with 1."""
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": n + 1} for n in range(len(boxes))],
        "categories": [{"id": kind + 1} for kind in range(3)],
        "annotations": [
            {"id": number + 1, "iscrowd": 0, "area": float(np.prod(row["bbox"][2:])), **row}
            for number, row in enumerate(coco_rows(boxes, classes))
        ],
    }
    truth.createIndex()
    guesses = truth.loadRes(coco_rows(found["boxes"], found["classes"], found["confidence"]))
    evaluation = COCOeval(truth, guesses, "bbox")
    evaluation.params.iouThrs = np.array([0.5])
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation.eval["precision"][0, :, :, 0, -1].mean()


def coco_rows(boxes, classes, scores=None):
    rows = []
    for image, number in np.argwhere(classes >= 0):
        left, top, right, bottom = boxes[image, number].astype(float)
        row = {
            "image_id": int(image) + 1,
            "category_id": int(classes[image, number]) + 1,
            "bbox": [left, top, right - left, bottom - top],
        }
        rows.append(row if scores is None else {**row, "score": float(scores[image, number])})
    return rows


def test_drawn_boxes_and_masks_belong_together(examples):
    images, boxes, classes, masks = examples("shapes").draw(50, seed=3)
    assert images.shape == (50, 64, 64, 3) and images.min() >= 0 and images.max() <= 255
    again, other = (examples("shapes").draw(50, seed=seed)[0] for seed in (3, 4))
    assert (images == again).all() and (images != other).any()
    assert set(classes[classes >= 0]) == {0, 1, 2} and ((boxes == -1).all(-1) == (classes == -1)).all()
    for mask, image_boxes, image_classes in zip(masks, boxes, classes, strict=True):
        left = np.zeros_like(mask)
        for (x0, y0, x1, y1), kind in zip(image_boxes.astype(int), image_classes, strict=True):
            if kind >= 0:
                inside = mask[y0:y1, x0:x1] == kind + 1
                assert inside.any(0).all() and inside.any(1).all()
                left[y0:y1, x0:x1] = 1
        assert not (mask * (1 - left)).any()


def random_detections(boxes, classes, rng):
    """Boxes moved more or less, some of another class, some twice, some of nothing."""
    boxes, classes = np.repeat(boxes, 2, axis=1), np.repeat(classes, 2, axis=1)
    found = classes >= 0
    boxes = np.where(found[..., None], boxes + rng.normal(0, 2, boxes.shape), -1)
    wrong = found & (rng.random(classes.shape) < 0.2)
    classes = np.where(wrong, rng.integers(0, 3, classes.shape), classes)
    lost = rng.random(classes.shape) < 0.3
    return {
        "boxes": np.where(lost[..., None], -1, boxes),
        "classes": np.where(lost, -1, classes),
        "confidence": np.where(lost, -1, rng.random(classes.shape)),
    }


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_average_precision_is_cocos(seed, examples):
    _, boxes, classes, _ = examples("shapes").draw(60, seed)
    found = random_detections(boxes, classes, np.random.default_rng(seed))
    ap50 = examples("detect").average_precision(boxes, classes, found)
    assert 0.1 < ap50 < 0.9
    assert ap50 == pytest.approx(coco_ap50(boxes, classes, found), abs=1e-6)


def test_average_precision_of_all_and_of_nothing(examples):
    _, boxes, classes, _ = examples("shapes").draw(20, seed=0)
    average_precision = examples("detect").average_precision
    everything = {"boxes": boxes, "classes": classes, "confidence": np.ones_like(classes)}
    assert average_precision(boxes, classes, everything) == 1
    nothing = {"boxes": boxes, "classes": -np.ones_like(classes), "confidence": -np.ones_like(classes)}
    assert average_precision(boxes, classes, nothing) == 0


def test_mean_iou_is_keras(examples):
    rng = np.random.default_rng(0)
    masks, found = rng.integers(0, 4, (2, 5, 64, 64))
    found = np.where(rng.random(found.shape) < 0.7, masks, found)
    metric = keras.metrics.MeanIoU(4)
    metric.update_state(masks, found)
    assert examples("segment").mean_iou(masks, found) == pytest.approx(float(metric.result()), rel=1e-5)


def run(script, output):
    """(trained, untrained): the two figures that a script prints, after a quarter of the training or less."""
    process = subprocess.run(
        [sys.executable, EXAMPLES / script, "--output", output, "--epochs", "2", "--pictures", "1024"],
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    figures = re.search(r"on 200 held-out pictures: (\d\.\d+); untrained: (\d\.\d+)", process.stdout)
    return float(figures[1]), float(figures[2])


@pytest.mark.slow
def test_detector_learns_and_trains_on_from_its_file(tmp_path, examples):
    trained, untrained = run("detect.py", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"detector.keras", "detections.png"}
    assert trained >= 0.03 and untrained <= 0.01

    detect = examples("detect")  # it imports what the file needs
    model = keras.models.load_model(tmp_path / "out" / "detector.keras")
    images, boxes, classes, _ = detect.draw(200, seed=1)
    found = model.predict(images, verbose=0)
    assert coco_ap50(boxes, classes, found) == pytest.approx(trained, abs=1e-3)

    detect.compile_detector(model, keras.optimizers.SGD(0.0))
    (loss,) = model.fit(images, {"boxes": boxes, "classes": classes}, verbose=0).history["loss"]
    assert loss < 1.5


@pytest.mark.slow
def test_segmenter_learns_and_predicts_the_same_from_its_file(tmp_path, examples):
    trained, untrained = run("segment.py", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"segmenter.keras", "segments.png"}
    assert trained >= 1.2 * untrained

    segment = examples("segment")
    model = keras.models.load_model(tmp_path / "out" / "segmenter.keras")
    images, _, _, masks = segment.draw(200, seed=1)
    metric = keras.metrics.MeanIoU(4, sparse_y_pred=False)
    metric.update_state(masks, model.predict(images, verbose=0))
    assert float(metric.result()) == pytest.approx(trained, abs=1e-3)
