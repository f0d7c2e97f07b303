"""Our tables of layers and operations against the installed Keras: a class is in a table, or named as unknown to it.

A new release of Keras fails here first: put its new classes into a family of ``keras_classes``, and then into the
tables that ought to hold them, or among what a table doesn't know.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator

import pytest

from tests.class_tables import named
from tests.keras_classes import LAYERS, ONLY_KERAS2, ONLY_KERAS3, OPERATIONS
from tests.layer_tables import ELSEWHERE
from tests.quantization_tables import QUANTIZATION
from tfcompress.models import raw_operations, translation
from tfcompress.models.keras_private import operation_classes
from tfcompress.quantization import expand, rules
from tfcompress.safety.allowed_classes import APPLICATION_LAYERS
from tools.structure import ROOT, modules

keras, tf_keras = pytest.importorskip("keras"), pytest.importorskip("tf_keras")

NEWEST = (3, 15)
"""Release of Keras whose classes the families name; an older one has fewer."""

OURS = {"TransformedLayer", "FreezableBatchNormalization", "ConstantFakeQuant"}
"""Layers of tfcompress, by the names that tables know them by."""
THEIRS = {"GELU", "SyncBatchNormalization"}
"""Layers that networks bring along, or that tf_keras has elsewhere, by the names that tables know them by."""
INNER = {"ConvLSTMCell"}
"""Layers that Keras doesn't export, inside those that it does."""


def layer_classes(library) -> set[str]:
    found = vars(library.layers).values()
    return {each.__name__ for each in found if inspect.isclass(each) and issubclass(each, library.layers.Layer)}


TABLES = {**QUANTIZATION, **ELSEWHERE}
"""Every table of classes of Keras 3, and why it doesn't hold the others."""


@pytest.mark.parametrize(
    ("kinds", "installed"),
    [(LAYERS, layer_classes(keras)), (OPERATIONS, set(operation_classes()))],
    ids=["layers", "operations"],
)
def test_every_class_of_keras_is_in_one_family(kinds, installed):
    listed = [name for names in kinds.values() for name in names]
    assert sorted(listed) == sorted(set(listed))
    assert installed - set(listed) == set()
    if tuple(map(int, keras.__version__.split(".")[:2])) >= NEWEST:
        assert set(listed) - installed == set()


JOINED = ("attention", "contracting", "elementwise", "indexing", "normalizing", "recurrent", "shaping", "weighted")
"""Modules of ``channels`` whose tables are put together in ``channels.layer_rules``."""
OTHERWISE = {
    "diagnosis.tensor_match": "RELUS: kinds of values, functions among them",
    "keras_names": "losses and metrics",
    "low_rank.recomposition": "the layers that low_rank.replacing writes",
    "models.translation": "held by the tests of the bridge's translations below",
    "models.picture_size": "_POOLINGS: what may pool over whole maps, by the size that it says",
    "quantization.baking": "_RELUS: functions, layers and operations that are a ReLU",
    "quantization.exact.operators": "AUGMENTING: a part of EXACT",
    "safety.graph_operations": "operations of TensorFlow; tests/safety",
    "safety.pure_keras": "operations that a file may name; tests/safety says of each other one why it may not",
    "safety.allowed_classes": "names in files of older versions",
    "tasks.metric": "metrics",
    "tflite.convert": "operations of TensorFlow",
    "tflite.costs": "ops of TFLite",
    "tflite.micro.npu_rewrites": "sentences",
    "training.first_samples": "losses",
}
"""Modules with another literal of names that Keras's classes bear, too -> what it is."""


def literals_of_classes() -> Iterator[tuple[str, str]]:
    """Yield module and name of what is assigned in a module itself and spells two classes of Keras or more."""
    known = {name for kinds in (LAYERS, OPERATIONS) for names in kinds.values() for name in names}
    for module in modules(ROOT, ["tfcompress"]):
        for node in module.tree.body:
            if isinstance(node, ast.Assign | ast.AnnAssign):
                spelt = {each.value for each in ast.walk(node) if isinstance(each, ast.Constant)}
                spelt |= {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                if len(known & {word for text in spelt if isinstance(text, str) for word in text.split()}) > 1:
                    yield module.name.removeprefix("tfcompress."), ast.unparse(target)


def test_every_table_of_classes_is_held_here():
    held = {name.partition(",")[0] for name in TABLES}
    joined = {f"channels.{name}" for name in JOINED}
    missing = [
        f"{module}.{name}"
        for module, name in literals_of_classes()
        if not {module, f"{module}.{name}"} & (held | joined | set(OTHERWISE))
    ]
    assert missing == []


@pytest.mark.parametrize("name", TABLES)
def test_a_table_names_classes_that_there_are(name):
    table = TABLES[name]
    elsewhere = OURS | THEIRS | INNER | set(APPLICATION_LAYERS) | {"linalg.matmul"}
    assert set(table.entries) - table.known() - elsewhere == set()


@pytest.mark.parametrize("name", TABLES)
def test_a_class_is_in_a_table_or_unknown_to_it(name):
    table, unknown = TABLES[name], TABLES[name].unknown()
    assert table.known() - set(table.entries) - set(unknown) == set()
    assert set(unknown) & set(table.entries) == set()
    assert set(unknown) - table.known() == set()


def test_what_keeps_its_scale_rounds_or_moves_values():
    moves = named(
        """
        BroadcastTo Concatenate Cropping1D Cropping2D ExpandDims Flatten Flip GetItem GlobalMaxPooling1D
        GlobalMaxPooling2D GlobalMaxPooling3D Max MaxPool MaxPooling1D MaxPooling2D MaxPooling3D Maximum Min Minimum
        Moveaxis Pad Permute Repeat RepeatVector Reshape Roll Slice Split Squeeze Stack Swapaxes Take Tile TopK
        Transpose Unstack UpSampling1D Where ZeroPadding1D ZeroPadding2D
        """
    )
    expanded = {"AveragePooling3D"}
    assert rules.ROUNDS | moves | expanded == rules.SAME_SCALE
    assert rules.ROUNDS & moves == set()


def test_an_op_that_is_in_two_tables_of_kinds_has_an_expansion():
    tables = [set(rules.SAME_SCALE), set(rules.UNCHANGED), set(rules.STAYS_FLOAT)]
    twice = {name for one in tables for other in tables if one is not other for name in one & other}
    assert twice == {"AveragePooling3D", "MaxPooling3D"}
    assert twice <= {layer.__name__ for layer in expand.EXPANSIONS}


def test_what_makes_nothing_negative_keeps_its_scale_or_is_gone():
    assert rules.NONNEGATIVE <= rules.SAME_SCALE | rules.UNCHANGED


def test_an_obstacle_is_one_to_an_expansion():
    assert set(expand.OBSTACLES) <= set(expand.EXPANSIONS)


def test_the_bridge_knows_which_layers_one_keras_has_alone():
    alone2, alone3 = layer_classes(tf_keras) - layer_classes(keras), layer_classes(keras) - layer_classes(tf_keras)
    assert alone2 == ONLY_KERAS2
    assert alone3 <= ONLY_KERAS3
    if tuple(map(int, keras.__version__.split(".")[:2])) >= NEWEST:
        assert alone3 == ONLY_KERAS3


def test_translations_are_of_layers_that_there_are():
    everywhere = layer_classes(keras) | layer_classes(tf_keras)
    ruled = {rule.layer for rule in translation.RULES} - {"*"}
    renamed = {name for (name, _), other in translation.RENAMED.items() for name in (name, other)}
    by_options = {name for classes in translation.BY_OPTIONS.values() for name in classes}
    assert (ruled | renamed | by_options) - everywhere == set()


def test_a_function_of_tensorflow_becomes_one_of_keras_with_those_arguments():
    for name, arguments in raw_operations.KERAS_OPS.values():
        parameters = inspect.signature(getattr(keras.ops, name)).parameters
        assert set(arguments.values()) <= set(parameters), name


def test_layers_that_keras_defines_beside_a_network_are_there():
    for name, module in APPLICATION_LAYERS.items():
        assert inspect.isclass(getattr(__import__(f"keras.src.applications.{module}", fromlist=[name]), name)), name
