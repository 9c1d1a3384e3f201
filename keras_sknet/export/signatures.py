"""What a served network does beside its own output: it classifies image files and gives features."""

import keras

from keras_sknet.data.transforms import decode, evaluation_transform, is_image_file, takes_images
from keras_sknet.export.labels import class_names, final_classifier, labels_text
from keras_sknet.export.pixels import takes_raw_pixels
from keras_sknet.models import feature_pyramid

TOP = 5


def classifies_files(model):
    """Tells whether a model can be given image files: how to normalize pixels, and classes, are in it."""
    return takes_images(model) and takes_raw_pixels(model) and final_classifier(model) is not None


def add_image_signatures(archive, serving_default, model, size, assets):
    """Adds `classify_jpeg` (and the labels) and `features` to an archive, where the model has what they need.

    Args:
        archive: `keras.export.ExportArchive`.
        serving_default: Concrete function of its first signature.
        model: Model that `archive` was made of.
        size: Pair of integers, the height and width of `classify_jpeg` where the model's are `None`.
        assets: `Path` of a folder to make for files that the archive copies when it is written.

    Returns:
        Dictionary of the added signatures' names and concrete functions.
    """
    import tensorflow as tf

    added = {}
    if classifies_files(model):
        labels = _label_table(final_classifier(model), assets)
        archive.track(labels)
        files = tf.TensorSpec(model.inputs[0].shape[:1], tf.string, "image_bytes")
        added["classify_jpeg"] = _classify_jpeg(model, serving_default, labels, size), files
    if compute := _features(model):
        (images,) = tf.nest.flatten(serving_default.structured_input_signature)
        added["features"] = compute, images
    return {
        name: archive.add_endpoint(name, function, input_signature=[spec]).get_concrete_function()
        for name, (function, spec) in added.items()
    }


def _label_table(classifier, assets):
    """Writes `labels.txt` and makes the table that looks the classes up in it."""
    import tensorflow as tf

    assets.mkdir()
    file = assets / "labels.txt"
    file.write_text(labels_text(class_names(classifier)), encoding="utf-8")
    index, line = tf.lookup.TextFileIndex.LINE_NUMBER, tf.lookup.TextFileIndex.WHOLE_LINE
    content = tf.lookup.TextFileInitializer(str(file), tf.int64, index, tf.string, line)
    return tf.lookup.StaticHashTable(content, default_value="")


def _classify_jpeg(model, serving_default, labels, size):
    import tensorflow as tf

    classifier = final_classifier(model)
    transform = evaluation_transform(model, size)
    image = tf.TensorSpec(transform.shape, tf.float32)

    def classify(image_bytes):
        # One bad file fails the whole request, whose other images the client sends again without it.
        with tf.control_dependencies([_assert_image_files(image_bytes)]):
            files = tf.identity(image_bytes)
        images = tf.map_fn(lambda file: transform(decode(file)), files, fn_output_signature=image)
        (outputs,) = tf.nest.flatten(serving_default(tf.cast(images, model.inputs[0].dtype)))
        probabilities = outputs
        if classifier.activation is keras.activations.linear:
            # A softmax of one logit is always 1.
            probabilities = tf.nn.sigmoid(outputs) if classifier.units == 1 else tf.nn.softmax(outputs)
        scores, indices = tf.math.top_k(probabilities, min(TOP, classifier.units))
        return {
            "classes": labels.lookup(tf.cast(indices, tf.int64)),
            "scores": scores,
            "probabilities": probabilities,
        }

    return classify


def _assert_image_files(image_bytes):
    import tensorflow as tf

    bad = tf.where(~is_image_file(image_bytes))[:, 0]
    message = "`image_bytes` must be JPEG or PNG files. Others are at these indices of the batch:"
    return tf.debugging.Assert(tf.equal(tf.size(bad), 0), [message, bad], summarize=100)


def _features(model):
    import tensorflow as tf

    if not takes_images(model):
        return None
    try:
        pyramid = feature_pyramid(model)
    except ValueError:
        return None

    def compute(images):
        levels = {name: tf.cast(x, tf.float32) for name, x in pyramid(images, training=False).items()}
        last = levels[max(levels)]
        return {**levels, "pooled": tf.reduce_mean(last, axis=(1, 2))}

    return compute
