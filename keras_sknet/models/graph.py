"""Functional models read as graphs: the calls of layers that they are made of."""

import keras

from keras_sknet.ops._private import graph_nodes


def is_graph(layer):
    """Tells whether a layer is a model made of calls of layers: functional, or sequential and built.

    Example:

    ```python
    from keras_sknet.models.graph import is_graph

    assert is_graph(keras_sknet.SKNetSmall()) and not is_graph(keras.Sequential())
    ```
    """
    functional = hasattr(layer, "operations") or isinstance(layer, keras.Sequential)
    # An unbuilt sequential model has no attribute `inputs`.
    return isinstance(layer, keras.Model) and functional and bool(getattr(layer, "inputs", None))


def structures(model):
    """Returns the inputs and the outputs of a model as they are put together, each a tensor if it is one.

    Example:

    ```python
    from keras_sknet.models.graph import structures

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    x, y = structures(model)  # x of shape (None, 2), y of shape (None, 3)
    ```
    """
    if isinstance(model, keras.Sequential):
        # It has no `input` and no `output` before it is called by itself.
        return model.inputs[0], model.outputs[0]
    return model.input, model.output


def graphs_inside(model):
    """Lists a model and the models that it is made of, those that are graphs, each once.

    Example:

    ```python
    from keras_sknet.models.graph import graphs_inside

    model = keras_sknet.SKNetSmall()
    assert graphs_inside(keras.Sequential([keras.Input((32, 32, 3)), model]))[1] is model
    ```
    """
    graphs, waiting = {}, [model]
    while waiting:
        graph = waiting.pop()
        if is_graph(graph) and id(graph) not in graphs:
            graphs[id(graph)] = graph
            waiting += graph.layers
    return list(graphs.values())


def makers(model):
    """Maps the `id` of every tensor in a model, but for its inputs, to the call that makes it.

    Example:

    ```python
    from keras_sknet.models.graph import makers

    model = keras_sknet.SKNetSmall()
    assert makers(model)[id(model.output)].operation is model.layers[-1]
    ```
    """
    return {id(x): node for node in graph_nodes(model) for x in node.outputs}
