import numpy as np
import pytest
from sklearn import metrics

from keras_sknet.data import Digits, evaluation_batches
from keras_sknet.evaluation import evaluate, label_map
from nets import small


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def draw(classes, count, seed=0):
    """Labels, and logits that are right more often than by chance."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    return labels, rng.normal(size=(count, classes)) + 2 * np.eye(classes)[labels]


def stream(scores, labels, batch_size):
    """Scores in place of images, the last batch filled up with what would be seen if it were counted."""
    for start in range(0, len(labels), batch_size):
        part = slice(start, start + batch_size)
        missing = batch_size - len(labels[part])
        yield (
            np.pad(scores[part], [(0, missing), (0, 0)], constant_values=9),
            np.pad(labels[part], (0, missing)),
            np.pad(np.ones(len(labels[part])), (0, missing)),
        )


def evaluate_scores(scores, labels, batch_size=7, **options):
    return evaluate(lambda images: images, stream(scores, labels, batch_size), **options)


@pytest.mark.parametrize("classes, count", [(2, 50), (3, 50), (7, 103), (1000, 300)])
def test_the_numbers_are_scikit_learns(classes, count):
    labels, logits = draw(classes, count)
    every = np.arange(classes)
    for scores in (logits, softmax(logits)):
        found = evaluate_scores(scores, labels)
        predicted = scores.argmax(axis=1)
        assert found.images == count
        assert found.top1_error == pytest.approx(1 - metrics.accuracy_score(labels, predicted))
        top5 = 1.0
        if classes > 5:
            top5 = metrics.top_k_accuracy_score(labels, scores, k=5, labels=every)
        assert found.top5_error == pytest.approx(1 - top5)
        loss = metrics.log_loss(labels, softmax(logits), labels=every)
        assert found.loss == pytest.approx(loss, rel=1e-6)
        matrix = metrics.confusion_matrix(labels, predicted, labels=every)
        np.testing.assert_array_equal(found.confusion, matrix)
        precision, recall, _, support = metrics.precision_recall_fscore_support(
            labels, predicted, labels=every, zero_division=np.nan
        )
        rows = np.array([row[1:] for row in found.classes], "float64")
        np.testing.assert_array_equal(rows[:, 0], support)
        np.testing.assert_allclose(rows[:, 1], np.where(support > 0, recall, np.nan))
        np.testing.assert_allclose(rows[:, 3], precision)


def test_every_image_counts_once_however_they_are_batched():
    labels, logits = draw(6, 25)
    one, *others = (evaluate_scores(logits, labels, batch_size) for batch_size in (25, 1, 4, 24, 40))
    for other in others:
        assert (other.images, other.top1_error, other.top5_error) == (25, one.top1_error, one.top5_error)
        assert other.loss == pytest.approx(one.loss)
        np.testing.assert_array_equal(other.confusion, one.confusion)


def test_equal_scores_go_to_the_lower_number_everywhere():
    labels = np.arange(8)
    found = evaluate_scores(np.zeros((8, 8)), labels)
    assert found.top1_error == 7 / 8 and found.top5_error == 3 / 8
    np.testing.assert_array_equal(found.confusion, [[1, *[0] * 7]] * 8)
    assert [row.top1_accuracy for row in found.classes] == [1, *[0] * 7]
    assert [row.top5_accuracy for row in found.classes] == [*[1] * 5, *[0] * 3]
    # Coarse scores have many: the same as by a stable sort.
    labels, logits = draw(9, 200)
    coarse = np.round(logits)
    order = np.argsort(-coarse, axis=1, kind="stable")
    found = evaluate_scores(coarse, labels)
    assert found.top1_error == pytest.approx((order[:, 0] != labels).mean())
    assert found.top5_error == pytest.approx((order[:, :5] != labels[:, None]).all(axis=1).mean())
    np.testing.assert_array_equal(found.confusion, metrics.confusion_matrix(labels, order[:, 0]))


def test_what_cannot_be_divided_is_none():
    found = evaluate_scores(np.array([[0.9, 0.1, 0], [0.8, 0, 0.2]]), np.array([0, 1]), class_names="abc")
    assert [tuple(row) for row in found.classes] == [
        ("a", 1, 1, 1, 0.5),
        ("b", 1, 0, 1, None),
        ("c", 0, None, None, None),
    ]


@pytest.mark.parametrize("steps", [None, 255])
def test_probabilities_are_told_from_logits(steps):
    labels, logits = draw(10, 100)
    probabilities = softmax(logits)
    if steps:
        # As an 8-bit model gives them.
        probabilities = np.round(probabilities * steps) / (steps + 1)
    own = probabilities[np.arange(100), labels]
    expected = -np.log(np.maximum(own, np.finfo("float32").tiny)).mean()
    assert evaluate_scores(probabilities, labels).loss == pytest.approx(expected)
    assert evaluate_scores(probabilities, labels, from_logits=False).loss == pytest.approx(expected)
    as_logits = -np.log(softmax(probabilities)[np.arange(100), labels]).mean()
    assert evaluate_scores(probabilities, labels, from_logits=True).loss == pytest.approx(as_logits)
    # A new network's logits may be between 0 and 1, too.
    assert evaluate_scores(np.zeros((100, 10)), labels).loss == pytest.approx(np.log(10))
    assert evaluate_scores(np.zeros((100, 10)) + 0.5, labels).loss == pytest.approx(np.log(10))
    assert evaluate_scores(logits + 1e4, labels).loss == pytest.approx(evaluate_scores(logits, labels).loss)


@pytest.mark.parametrize("certainty", [4, 6, 8, 10])
def test_probabilities_of_a_thousand_classes_in_8_bits_are_no_logits(certainty):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 1000, 300)
    probabilities = softmax(rng.normal(size=(300, 1000)) + certainty * np.eye(1000)[labels])
    rounded = np.rint(probabilities * 256) / 256
    assert abs(rounded.sum(axis=1).mean() - 1) > 0.1 or certainty == 10
    found, told, exact = (
        evaluate_scores(scores, labels, **options).loss
        for scores, options in [(rounded, {}), (rounded, {"from_logits": False}), (probabilities, {})]
    )
    assert found == told
    assert found != pytest.approx(exact)  # rounding stays what it is
    # Numbers that are as small, and not rounded so, are logits; and so are a new network's zeros.
    others = evaluate_scores(rounded * 0.99, labels).loss
    assert certainty == 10 or others == evaluate_scores(rounded * 0.99, labels, from_logits=True).loss
    assert evaluate_scores(0 * rounded, labels).loss == pytest.approx(np.log(1000))


def test_a_keras_model_counts_as_keras_does():
    model = small(activation="softmax")
    digits = Digits("validation", scales=(1.0,))
    images, labels = digits.arrays()
    labels = labels % 5
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    loss, accuracy = model.evaluate(images.astype("float32"), labels, verbose=0)
    found = evaluate(model, [(images[i::3], labels[i::3], np.ones(len(labels[i::3]))) for i in range(3)])
    assert found.images == len(labels) and found.top5_error == 0
    assert found.top1_error == pytest.approx(1 - accuracy, abs=1e-6)
    assert found.loss == pytest.approx(loss, rel=1e-5)


def test_a_stream_of_the_package_is_counted_whole():
    digits = Digits("validation")
    found = evaluate(
        lambda images: np.tile(np.arange(10), (len(images), 1)), evaluation_batches(digits, 100), "0123456789"
    )
    assert found.images == len(digits) == 411
    assert found.top1_error == pytest.approx((digits.element_labels != 9).mean())
    assert [row.images for row in found.classes] == np.bincount(digits.element_labels).tolist()


@pytest.mark.parametrize(
    "scores, labels, options, text",
    [
        (
            np.zeros((0, 3)),
            np.zeros(0, int),
            {},
            "`batches` must be of one image or more. .* images=0",
        ),
        (
            np.zeros((2, 3)),
            np.array([0, 3]),
            {},
            r"`labels` must be integers from 0 .* classes=3",
        ),
        (np.zeros((2, 3)), np.array([-1, 0]), {}, "`labels` must be integers from 0 to below the number"),
        (np.zeros((2, 3)), np.array([0.0, 1]), {}, "`labels` must be integers from 0 to below the number"),
        (np.full((2, 3), np.nan), np.array([0, 1]), {}, r"`scores` must be finite. Received: scores=\[nan\]"),
        (
            np.zeros((2, 3)),
            np.array([0, 1]),
            {"class_names": "ab"},
            r"`model` must be one that gives a score",
        ),
    ],
)
def test_what_cannot_be_counted_is_an_error(scores, labels, options, text):
    with pytest.raises(ValueError, match=text):
        evaluate_scores(scores, labels, **options)


def test_a_model_without_scores_is_refused():
    batch = np.zeros((2, 4, 4, 3)), np.array([0, 1]), np.ones(2)
    with pytest.raises(ValueError, match=r"`model` must be one that gives a score .*\(2, 4, 4"):
        evaluate(lambda images: images, [batch])


def test_images_and_labels_alone_count_fully():
    scores, labels = np.eye(3), np.array([0, 1, 1])
    assert evaluate(lambda images: scores, [(np.zeros((3, 4)), labels)]).top1_error == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="`batches` must be of images and labels"):
        evaluate(lambda images: scores, [np.zeros((3, 4))])


@pytest.mark.parametrize(
    "scores, received",
    [
        ([np.eye(2), np.eye(2)], "scores='list'"),
        ({"a": np.eye(2)}, "scores='dict'"),
        (np.eye(3), r"scores=\(3, 3\), images=2"),
    ],
)
def test_what_is_no_score_for_each_image_and_class_is_refused(scores, received):
    batch = np.zeros((2, 4)), np.array([0, 1]), np.ones(2)
    with pytest.raises(ValueError, match=f"`model` must be one that gives a score .*{received}"):
        evaluate(lambda images: scores, [batch])


def test_classes_are_matched_by_name():
    assert label_map(("cat", "dog", "ox"), ("ox", "cat", "dog")).tolist() == [1, 2, 0]
    assert label_map(("cat", "dog"), ()).tolist() == [0, 1]
    names = [f"class {number}" for number in range(20)]
    with pytest.raises(ValueError) as caught:
        label_map(("cat", "dog", *names), ("dog", "cow"))
    text = str(caught.value)
    assert "`class_names` must be the same for the data (22 classes) and the model (2)" in text
    assert "only_in_data=['cat', 'class 0', 'class 1', 'class 2', 'class 3', 'and 16 more']" in text
    assert "only_in_model=['cow']" in text
