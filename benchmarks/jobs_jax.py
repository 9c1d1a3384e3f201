"""What is measured of this package on the JAX backend, in a worker: training and inference."""

import contextlib
import os

os.environ["KERAS_BACKEND"] = "jax"

import jax  # noqa: E402
from jobs import batch_of, network  # noqa: E402
from worker import repeated, serve  # noqa: E402


def train(network_name, batch, size, dtype="float32", profile=None, **options):
    """A step of SGD with momentum on images that stay on the device."""
    import keras

    model = network(network_name, size, "mixed_bfloat16" if dtype == "bfloat16" else dtype, **options)
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    optimizer.build(model.trainable_variables)
    images, labels = map(jax.device_put, batch_of(batch, size))

    def loss(trainable, others, images, labels):
        scores, others = model.stateless_call(trainable, others, images, training=True)
        return keras.ops.mean(keras.losses.sparse_categorical_crossentropy(labels, scores)), others

    @jax.jit
    def step(state, images, labels):
        trainable, others, slots = state
        gradient = jax.value_and_grad(loss, has_aux=True)
        (value, others), gradients = gradient(trainable, others, images, labels)
        trainable, slots = optimizer.stateless_apply(slots, gradients, trainable)
        return value, (trainable, others, slots)

    variables = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
    state = [[variable.value for variable in values] for values in variables]

    def run():
        nonlocal state
        value, state = step(state, images, labels)
        value.block_until_ready()

    return profiled(run, profile)


def infer(network_name, batch, size, dtype="float32", profile=None, **options):
    model = network(network_name, size, "mixed_bfloat16" if dtype == "bfloat16" else dtype, **options)
    images = jax.device_put(batch_of(batch, size)[0])
    variables = (model.trainable_variables, model.non_trainable_variables)
    state = [[variable.value for variable in values] for values in variables]
    classify = jax.jit(lambda state, x: model.stateless_call(*state, x, training=False)[0])
    return profiled(lambda: jax.device_get(classify(state, images)), profile)


def device():
    """What JAX computes on."""
    first = jax.devices()[0]
    return {"platform": first.platform, "kind": first.device_kind, "count": jax.device_count()}


def profiled(function, folder):
    """As `repeated`; each call of several runs leaves JAX's profile in a `folder`."""
    run = repeated(function)

    def recorded(count):
        with jax.profiler.trace(folder) if folder else contextlib.nullcontext():
            return run(count)

    return recorded


if __name__ == "__main__":
    serve({"train": train, "infer": infer, "device": device})
