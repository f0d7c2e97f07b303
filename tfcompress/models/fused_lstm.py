"""LSTM layers of Keras 3 as the one op that TFLite has for them, instead of a loop.

The TFLite converter knows an LSTM by the attributes of the function that it is traced in, the way tf_keras marks its
own: ``api_implements`` begins with ``lstm_``, and there are six arguments and five results, of which only the first two
are used (``ConvertKerasLSTMLayer`` in TensorFlow's ``lstm_utils.cc``). Keras 3 marks nothing. Whatever the converter
does not know so stays the loop that the function holds, which computes the same.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from tfcompress.models.graph import calls, is_graph
from tfcompress.models.keras_private import all_layers
from tfcompress.models.kinds import graph_of, keras_of

OP = "UNIDIRECTIONAL_SEQUENCE_LSTM"
"""What the op is called in a file."""


@dataclass
class RecurrentForms:
    """What became of the recurrent layers of a model while it was traced.

    Attributes:
        fused: names of LSTM layers that were marked, one entry a call.
        loops: name of each other layer that is not unrolled -> why it is a loop.
    """

    fused: list[str] = field(default_factory=list)
    loops: dict[str, str] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """Sentences for the report."""
        names = ", ".join(dict.fromkeys(self.fused))
        found = [f"LSTM as one op ({OP}): {names}; whoever runs the file must reset its variables before each sample"]
        return found[: len(self.fused)] + [f"{name} is a loop in the file: {why}" for name, why in self.loops.items()]


def has_recurrent(model: Any) -> bool:
    """Say whether a Keras 3 model holds a recurrent layer; False for any other kind of model."""
    import keras

    if keras_of(model) == "savedmodel" or keras_of(graph_of(model)) != "keras3":
        return False
    return any(isinstance(layer, keras.layers.RNN) for layer in all_layers(graph_of(model), itself=True))


def unread_cells(model: Any) -> frozenset[int]:
    """Return the ids of the LSTM layers that return their states, but whose cell's state nobody reads.

    The op returns no state of a cell; the other state is its last output.

    Args:
        model: any model of Keras 3, with its nested ones; of one without a graph nothing is known.
    """
    import keras

    graphs = [each for each in all_layers(model, itself=True) if isinstance(each, keras.Model) and is_graph(each)]
    found, read = set[int](), set[int]()
    for graph in graphs:
        listed = list(calls(graph))
        used = {id(leaf) for call in listed for leaf in keras.tree.flatten((call.args, call.kwargs))}
        used |= {id(tensor) for tensor in graph.outputs}
        for call in listed:
            if getattr(call.layer, "return_state", False) and isinstance(call.layer, keras.layers.RNN):
                (read if id(call.outputs[-1]) in used else found).add(id(call.layer))
    return frozenset(found - read)


@contextlib.contextmanager
def fused_lstms(unread: Collection[int] = ()) -> Iterator[RecurrentForms]:
    """Have Keras 3 trace LSTM layers as marked functions; it is changed for as long as this lasts.

    Args:
        unread: what :func:`unread_cells` gives of the model.
    """
    import keras

    layer_class, forms = keras.layers.RNN, RecurrentForms()
    plain_call = layer_class.call

    def call(layer: Any, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        reason = why_not_fused(layer, cell_is_read=id(layer) not in unread) or _obstacle_of_call(
            sequences, initial_state, mask
        )
        if not reason:
            forms.fused.append(layer.name)
            return _marked_call(layer, sequences)
        if not layer.unroll:
            forms.loops[layer.name] = reason
        return plain_call(layer, sequences, initial_state=initial_state, mask=mask, training=training)

    try:
        layer_class.call = call
        yield forms
    finally:
        layer_class.call = plain_call


def why_not_fused(layer: Any, *, cell_is_read: bool = True) -> str:
    """Return why a recurrent layer of Keras 3 can never be one op, however it is called; empty: it can.

    Args:
        layer: the layer.
        cell_is_read: where it returns its states, somebody reads that of its cell.
    """
    import keras

    cell, known = layer.cell, keras.activations
    if type(layer) not in (keras.layers.LSTM, keras.layers.RNN) or type(cell) is not keras.layers.LSTMCell:
        return f"TFLite has no op for {type(cell).__name__.removesuffix('Cell')}"
    if cell.activation is not known.tanh or cell.recurrent_activation is not known.sigmoid:
        names = (getattr(f, "__name__", str(f)) for f in (cell.activation, cell.recurrent_activation))
        return f"its activations are {' and '.join(names)}, not tanh and sigmoid"
    if layer.stateful:
        return "it is stateful"
    if layer.return_state and cell_is_read:
        return "the state of its cell is read, or may be"
    return "" if layer.compute_dtype == "float32" else f"it computes in {layer.compute_dtype}"


def _obstacle_of_call(sequences: Any, initial_state: Any, mask: Any) -> str:
    if mask is not None:
        return "its steps are masked"
    if initial_state is not None:
        return "it is given a state to begin with"
    return "" if sequences.shape[0] is not None and len(sequences.shape) == 3 else "its batch has no fixed size"


def _marked_call(layer: Any, sequences: Any) -> Any:
    """Call an LSTM on *sequences*, (batch, steps, features), so that the converter knows it."""
    import tensorflow as tf

    cell, batch = layer.cell, sequences.shape[0]
    if layer.go_backwards:
        sequences = sequences[:, ::-1]
    function = tf.function(
        _loop,
        autograph=False,
        experimental_attributes={
            # TensorFlow takes functions of one name for ways to compute the same, and may run one for the other.
            "api_implements": f"lstm_{uuid.uuid4()}",
            "api_preferred_device": "CPU",
            "time_major": False,
            "go_backwards": False,
        },
    )
    zeros = tf.zeros((batch, cell.units))
    bias = tf.zeros(4 * cell.units) if cell.bias is None else tf.convert_to_tensor(cell.bias)
    kernels = (tf.convert_to_tensor(kernel) for kernel in (cell.kernel, cell.recurrent_kernel))
    last, each, _, carry, _ = function(sequences, zeros, zeros, *kernels, bias)
    made = each if layer.return_sequences else last
    return (made, last, carry) if layer.return_state else made  # where states are returned, nobody reads *carry*


def _loop(x: Any, h: Any, c: Any, kernel: Any, recurrent_kernel: Any, bias: Any) -> tuple[Any, ...]:
    """Compute an LSTM (Gers et al. 2000), with the arguments and results that the converter expects of one.

    Args:
        x: (batch, steps, features).
        h: (batch, units), like *c* the state to begin with.
        c: see *h*.
        kernel: (features, 4 units), for the gates in, forget, new, out.
        recurrent_kernel: (units, 4 units).
        bias: (4 units,).

    Returns:
        The last output, all of them (batch, steps, units), the two states, and what tf_keras tells its own devices by.
    """
    import tensorflow as tf

    def step(states: tuple[Any, Any], at: Any) -> tuple[Any, Any]:
        before, carry = states
        z = tf.matmul(at, kernel) + tf.matmul(before, recurrent_kernel) + bias
        i, f, g, o = tf.split(z, 4, axis=1)
        carry = tf.sigmoid(f) * carry + tf.sigmoid(i) * tf.tanh(g)
        return tf.sigmoid(o) * tf.tanh(carry), carry

    outputs, carries = tf.scan(step, tf.transpose(x, (1, 0, 2)), (h, c))
    return outputs[-1], tf.transpose(outputs, (1, 0, 2)), outputs[-1], carries[-1], tf.constant(1.0)
