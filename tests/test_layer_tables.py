"""Our tables of layers and operations against the installed Keras: a class is in a table, or named as unknown to it.

A new release of Keras fails here first: put its new classes into a family of ``keras_classes``, and then into the
tables that ought to hold them, or among what a table doesn't know.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pytest

from tests.keras_classes import LAYERS, ONLY_KERAS2, ONLY_KERAS3, OPERATIONS, of_ranks
from tfcompress.channels import recurrent
from tfcompress.channels.layer_rules import RULES
from tfcompress.models import copies, macs, raw_operations, translation
from tfcompress.models.keras_private import operation_classes
from tfcompress.quantization import baking, expand, expand_recurrent, four_bits, rules, steps
from tfcompress.quantization.exact.operators import EXACT
from tfcompress.safety.allowed_classes import APPLICATION_LAYERS
from tfcompress.safety.configuration import CODE_CLASSES
from tfcompress.weights import clustering

keras, tf_keras = pytest.importorskip("keras"), pytest.importorskip("tf_keras")

NEWEST = (3, 15)
"""Release of Keras whose classes the families name; an older one has fewer."""

OURS = {"TransformedLayer", "FreezableBatchNormalization"}
"""Layers of tfcompress, by the names that tables know them by."""
INNER = {"ConvLSTMCell"}
"""Layers that Keras doesn't export, inside those that it does."""


def layer_classes(library) -> set[str]:
    found = vars(library.layers).values()
    return {each.__name__ for each in found if inspect.isclass(each) and issubclass(each, library.layers.Layer)}


def families(kinds: Mapping[str, frozenset[str]], *but: str) -> frozenset[str]:
    """Return all classes of *kinds*, but of those families."""
    assert set(but) <= set(kinds)
    return frozenset().union(*(classes for kind, classes in kinds.items() if kind not in but))


def of(kinds: Mapping[str, frozenset[str]], *names: str) -> frozenset[str]:
    return frozenset().union(*(kinds[name] for name in names))


def named(names: str) -> frozenset[str]:
    return frozenset(names.split())


@dataclass
class Table:
    """A table of ours.

    Attributes:
        entries: names of classes that it holds.
        layers: reason -> layers that it doesn't hold; None: it is of operations only.
        operations: reason -> operations that it doesn't hold; None: it is of layers only.
    """

    entries: Iterable[str]
    layers: Mapping[str, frozenset[str]] | None = None
    operations: Mapping[str, frozenset[str]] | None = field(default=None)

    def known(self) -> frozenset[str]:
        parts = [(self.layers, LAYERS), (self.operations, OPERATIONS)]
        return frozenset().union(*(families(kinds) for unknown, kinds in parts if unknown is not None))

    def unknown(self) -> list[str]:
        groups = [*(self.layers or {}).values(), *(self.operations or {}).values()]
        return [name for group in groups for name in group]


WRAPPED_OR_NONE = of(LAYERS, "cells", "no computation") | {"Wrapper"}
"""Layers that are called by another one only, or compute nothing."""
NO_WEIGHTS = of(
    LAYERS,
    *("merges", "poolings", "global poolings", "adaptive poolings", "shapes", "sizes", "in training only"),
    *("augmentation", "features", "spectrograms", "no computation"),
)
ALL_BUT_KERNELS = families(LAYERS, "convolutions", "dense")
NEW_AUGMENTATION = LAYERS["augmentation"] - named(
    "RandomBrightness RandomContrast RandomCrop RandomFlip RandomRotation RandomTranslation RandomZoom"
)

RARE = of(
    OPERATIONS,
    *("rare arithmetic of one", "rare arithmetic of two", "comparisons", "bits", "rare reductions", "running sums"),
    *("rare shapes", "new tensors", "order", "spectra", "linear algebra", "losses"),
)
RAW_NETWORK = of(OPERATIONS, "convolutions", "normalizations")
"""Convolutions and normalizations without a layer: their weights are constants, or come from elsewhere."""
FUNCTIONS_INSIDE = of(OPERATIONS, "control flow", "no computation")
ADAPTIVE = named("AdaptiveAveragePool AdaptiveMaxPool")
PICTURES = OPERATIONS["images"] - {"Resize"}

TABLES = {
    "quantization.expand": Table(
        {layer.__name__ for layer in expand.EXPANSIONS},
        layers={
            "called by others only, or nothing to compute": WRAPPED_OR_NONE,
            "one op of the runtime, or none": named("BatchNormalization LeakyReLU PReLU Softmax Embedding")
            | named("Concatenate Maximum Minimum Subtract AveragePooling1D AveragePooling2D MaxPooling1D MaxPooling2D")
            | named("Resizing")
            | of_ranks("Cropping{}D", "ZeroPadding{}D")
            | (of(LAYERS, "global poolings", "shapes", "in training only", "augmentation") - {"Masking"}),
            "nobody has asked for it": of(LAYERS, "adaptive poolings")
            | of_ranks("ConvLSTM{}D")
            | named("AdditiveAttention Attention GroupedQueryAttention CenterCrop UpSampling3D ReversibleEmbedding")
            | {"SpectralNormalization"},
            "comes before what is exported": of(LAYERS, "features", "spectrograms"),
            "its inside is not known": LAYERS["code"],
        },
    ),
    "quantization.rules": Table(
        {
            *rules.KERNELS,
            *rules.SAME_SCALE,
            *rules.UNCHANGED,
            *rules.STAYS_FLOAT,
            *{layer.__name__ for layer in expand.EXPANSIONS},
            *named("Activation ReLU Relu Relu6 Sigmoid Softmax Tanh"),  # asked for by kind_of() itself
        },
        layers={
            "called by others only, or nothing to compute": WRAPPED_OR_NONE,
            "computes on a scale of its own": named("BatchNormalization LeakyReLU PReLU Subtract")
            | of_ranks("GlobalAveragePooling{}D"),
            "computes on a scale of its own, unless TFLite has no int8 op for it": of(LAYERS, "adaptive poolings")
            | named("AdditiveAttention Attention GroupedQueryAttention ReversibleEmbedding SpectralNormalization")
            | named("ConvLSTM3D CenterCrop Cropping3D UpSampling3D ZeroPadding3D"),
            "augments, and is taken for a computation": NEW_AUGMENTATION - rules.AUGMENTING,
            "comes before what is exported": of(LAYERS, "features", "spectrograms"),
            "its inside is not known": LAYERS["code"] - {"Lambda"},
        },
        operations={
            "computes on a scale of its own": named("Divide Subtract TrueDivide Amax Amin Mean Std Sum Var Copy Matmul")
            | OPERATIONS["activations"] - named("Erf Relu Relu6 Sigmoid Tanh")
            | OPERATIONS["arithmetic of one"] - named("Cast Cos Floor Negative Sin Square"),
            "likewise, unless TFLite has no int8 op for it": (RARE - named("Average TopK Where"))
            | RAW_NETWORK
            | PICTURES
            | ADAPTIVE
            | named("Glu LogSoftmax Sparsemax")
            | OPERATIONS["products"] - named("Matmul Dot"),
            "has functions inside, or computes nothing": FUNCTIONS_INSIDE,
        },
    ),
    "quantization.rules.FUSES_RELU": Table(
        rules.FUSES_RELU,
        layers={
            "the runtime's op ends in no ReLU": families(LAYERS, "convolutions", "dense", "merges")
            | named("Conv1DTranspose Conv2DTranspose Average Concatenate Dot Maximum Minimum"),
            "expanded into those that do": named("EinsumDense SeparableConv1D SeparableConv2D"),
            "stays in float": named("Conv3D Conv3DTranspose"),
        },
        operations={
            "the runtime's op ends in no ReLU": families(OPERATIONS, "arithmetic of two")
            | named("Maximum Minimum Power"),
            "nobody has asked for it": named("Divide TrueDivide"),
        },
    ),
    "quantization.exact": Table(
        EXACT,
        layers={
            "in a TransformedLayer, or expanded": of(LAYERS, "convolutions", "dense", "embeddings", "recurrent")
            | of(LAYERS, "attention", "normalizations", "around a layer")
            | named("ELU Average Dot UpSampling1D AveragePooling3D MaxPooling3D"),
            "called by others only, or nothing to compute": of(LAYERS, "cells", "no computation"),
            "rounded in float instead": of(LAYERS, "adaptive poolings", "features", "spectrograms", "code")
            | (NEW_AUGMENTATION - rules.AUGMENTING)
            | named("CenterCrop Cropping3D UpSampling3D ZeroPadding3D GlobalAveragePooling3D GlobalMaxPooling3D")
            | named("ActivityRegularization Masking RandomCrop"),
        },
        operations={
            "rounded in float instead": (RARE - named("Argmax Argmin TopK Where"))
            | RAW_NETWORK
            | PICTURES
            | ADAPTIVE
            | FUNCTIONS_INSIDE
            | of(OPERATIONS, "as it is")
            | named("Glu LogSoftmax Sparsemax Divide Power TrueDivide AveragePool")
            | OPERATIONS["activations"] - named("Gelu Relu")
            | OPERATIONS["arithmetic of one"] - named("Abs Absolute Exp Log Rsqrt")
            | named("Amax Amin Std Sum Var")
            | OPERATIONS["products"] - {"Matmul"},
        },
    ),
    "channels.layer_rules": Table(
        RULES,
        layers={
            "called by others only, or nothing to compute": WRAPPED_OR_NONE,
            "pins what it meets": of(LAYERS, "adaptive poolings", "augmentation", "features", "spectrograms", "code")
            | named("ReversibleEmbedding SpectralNormalization Normalization CenterCrop"),
        },
        operations={
            "pins what it meets": (RARE - {"Average"})
            | RAW_NETWORK
            | PICTURES
            | ADAPTIVE
            | FUNCTIONS_INSIDE
            | named("Glu Copy BroadcastTo Flip Roll Slice Take Unstack")
            | named("Correlate Cross DotProductAttention Inner Kron Outer Tensordot Vdot"),
        },
    ),
    "models.macs": Table(
        {*macs.RULES, *macs.UNCOUNTED},
        layers={
            "no weights, and no products to count": NO_WEIGHTS - {"Dot"}
            | named("Activation ELU LeakyReLU ReLU Softmax Rescaling"),
            "called by others only": LAYERS["cells"] | {"Wrapper"},
            "weights, and so not known how to count": of_ranks("ConvLSTM{}D")
            | named("ReversibleEmbedding SpectralNormalization"),
            "its inside is not known": LAYERS["code"] - {"Lambda"},
        },
    ),
    "models.macs, operations": Table(
        {*macs.PRODUCTS, *(name for name in operation_classes() if name.lower().startswith(macs.COSTLY_OPERATIONS))},
        operations={
            "no products to count": families(OPERATIONS, "products", "convolutions") - {"ConvertToTensor"},
            "counted as nothing, though they multiply": named("Correlate Cross Inner Kron Outer Vdot"),
        },
    ),
    "models.copies.DEPTHWISE": Table(
        copies.DEPTHWISE,
        layers={
            "no depthwise kernel": ALL_BUT_KERNELS | of(LAYERS, "dense") | of_ranks("Conv{}D", "Conv{}DTranspose"),
            "its depthwise kernel has a name of its own": named("SeparableConv1D SeparableConv2D"),
        },
    ),
    "models.raw_operations.OP_LAYERS": Table(
        raw_operations.OP_LAYERS,
        operations={
            "a layer of ours on tf_keras runs it": families(OPERATIONS)
            - named("Add Multiply Maximum Minimum Concatenate Relu Relu6"),
        },
    ),
    "quantization.baking.CHANNEL_AXES": Table(
        baking.CHANNEL_AXES,
        layers={
            "no kernel with a scale a channel": ALL_BUT_KERNELS | {"EinsumDense"},
            "stays in float": named("Conv3D Conv3DTranspose"),
            "expanded": named("SeparableConv1D SeparableConv2D"),
        },
    ),
    "quantization.four_bits": Table(
        four_bits.FOUR_BIT_LAYERS,
        layers={
            "TFLite has no 4-bit kernel for it": (
                ALL_BUT_KERNELS | LAYERS["convolutions"] - {"Conv1D", "Conv2D"} | {"EinsumDense"}
            )
        },
    ),
    "quantization.steps": Table(
        {layer.__name__ for layer in steps.KINDS},
        layers={"copied as it is": families(LAYERS) - {"BatchNormalization"}},
    ),
    "quantization.expand_recurrent": Table(
        {cell.__name__ for cell in expand_recurrent.CELLS},
        layers={"no cell": families(LAYERS, "cells"), "nobody has asked for it": frozenset({"StackedRNNCells"})},
    ),
    "channels.recurrent.CELLS": Table(
        recurrent.CELLS,
        layers={"no cell": families(LAYERS, "cells"), "nobody has asked for it": frozenset({"StackedRNNCells"})},
    ),
    "channels.recurrent.LAYERS": Table(recurrent.LAYERS, layers={"not recurrent": families(LAYERS, "recurrent")}),
    "weights.clustering.CHANNEL_AXES": Table(
        clustering.CHANNEL_AXES,
        layers={
            "no channels of a convolution": ALL_BUT_KERNELS | LAYERS["dense"],
            "its kernels are shared by one book": named("SeparableConv1D SeparableConv2D"),
            "never clustered": named("DepthwiseConv1D DepthwiseConv2D"),
        },
    ),
    "safety.configuration.CODE_CLASSES": Table(
        CODE_CLASSES & families(LAYERS), layers={"its configuration is data": families(LAYERS, "code")}
    ),
}
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


@pytest.mark.parametrize("name", TABLES)
def test_a_table_names_classes_that_there_are(name):
    table = TABLES[name]
    assert set(table.entries) - table.known() - OURS - INNER - set(APPLICATION_LAYERS) - {"linalg.matmul"} == set()


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
