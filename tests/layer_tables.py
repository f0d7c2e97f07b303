"""The tables outside :mod:`tfcompress.quantization` that hold classes of Keras."""

from __future__ import annotations

from tests.class_tables import (
    ADAPTIVE,
    ALL_BUT_KERNELS,
    FUNCTIONS_INSIDE,
    NEW_AUGMENTATION,
    NO_WEIGHTS,
    PICTURES,
    RARE,
    RAW_NETWORK,
    WRAPPED_OR_NONE,
    Table,
    beginning_with,
    families,
    named,
    of,
)
from tests.keras_classes import LAYERS, ONLY_KERAS3, OPERATIONS, of_ranks
from tfcompress.blocks import centres
from tfcompress.channels import compensation, groups, recurrent
from tfcompress.channels.layer_rules import RULES
from tfcompress.diagnosis import exact_rewrites, tensor_match
from tfcompress.engines.tfmot import engine, prune, qat
from tfcompress.low_rank import places
from tfcompress.models import copies, lookups, macs, raw_operations
from tfcompress.models.keras_private import operation_classes
from tfcompress.safety.configuration import CODE_CLASSES
from tfcompress.streaming import step_building, time_rules
from tfcompress.weights import clustering, pruning

ELSEWHERE = {
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
    "streaming.time_rules": Table(
        {*time_rules.WINDOWED, *time_rules.EACH_FRAME, *time_rules.FRAMES_APART},
        layers={
            "called by others only, or nothing to compute": WRAPPED_OR_NONE,
            "takes the whole window, as it may need to": of(LAYERS, "global poolings", "adaptive poolings", "recurrent")
            | of(LAYERS, "attention")
            | named("Flatten Permute RepeatVector Dot Bidirectional GroupNormalization UnitNormalization"),
            "its frames are pictures of three axes": named("Conv3D Conv3DTranspose AveragePooling3D MaxPooling3D")
            | named("Cropping3D UpSampling3D ZeroPadding3D SpatialDropout3D"),
            "makes more frames than it takes": named("Conv1DTranspose Conv2DTranspose UpSampling1D UpSampling2D"),
            "nobody has asked for it": named("EinsumDense ReversibleEmbedding SpectralNormalization Masking")
            | named("CenterCrop Resizing"),
            "comes before what is exported": of(LAYERS, "augmentation", "features", "spectrograms"),
            "its inside is not known": LAYERS["code"],
        },
        operations={
            "takes the whole window, as it may need to": of(OPERATIONS, "reductions", "products", "poolings")
            | RAW_NETWORK
            | PICTURES
            | OPERATIONS["shapes"] - named("Concatenate GetItem Reshape"),
            "nobody has asked for it": (RARE - {"Average"})
            | named("Ceil Cos Expm1 Floor Log1p Reciprocal Round Sign Sin Glu LogSoftmax Sparsemax Resize")
            | named("Celu Erf HardShrink HardTanh LeakyRelu LogSigmoid SoftShrink Softsign SparsePlus SparseSigmoid")
            | named("Squareplus TanhShrink Threshold")
            | OPERATIONS["as it is"],
            "has functions inside, or computes nothing": FUNCTIONS_INSIDE,
        },
    ),
    "streaming.time_rules.LAYERS_ALONE": Table(
        time_rules.LAYERS_ALONE,
        layers={
            "no operation of its name takes frames together": families(LAYERS) - {"Average", "Reshape"},
        },
    ),
    "streaming.time_rules.CHEAP": Table(
        time_rules.CHEAP,
        layers={
            "known by its name": LAYERS["global poolings"],
            "it computes, or leaves a window as it is": families(LAYERS, "global poolings", "shapes"),
        },
    ),
    "streaming.step_building.SAME_RANGE": Table(
        step_building.SAME_RANGE,
        layers={
            "computes on a scale of its own": families(LAYERS, "poolings", "shapes", "sizes", "in training only"),
            "never in a model of one step": named("AveragePooling3D MaxPooling3D CenterCrop Resizing Flatten Permute")
            | named("Cropping3D UpSampling1D UpSampling2D UpSampling3D ZeroPadding3D RepeatVector"),
            "gone before the step is built": named("ActivityRegularization AlphaDropout GaussianDropout GaussianNoise")
            | named("Masking SpatialDropout3D"),
        },
        operations={
            "computes on a scale of its own": families(OPERATIONS, "shapes"),
            "nobody has asked for it": OPERATIONS["shapes"] - {"GetItem", "Reshape"},
        },
    ),
    "channels.compensation.LINEAR": Table(
        compensation.LINEAR,
        layers={
            "its kernel is not linear in one axis of channels": ALL_BUT_KERNELS
            | of_ranks("Conv{}DTranspose")
            | named("DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D EinsumDense"),
        },
    ),
    "channels.groups.OVER_HEADS": Table(
        groups.OVER_HEADS,
        layers={
            "no attention": families(LAYERS, "attention"),
            "no heads": named("AdditiveAttention Attention"),
        },
    ),
    "blocks.centres.KINDS": Table(
        centres.KINDS,
        layers={
            "no window along the first axes": ALL_BUT_KERNELS | LAYERS["dense"],
            "cut to its centre, its outputs would shrink": of_ranks("Conv{}DTranspose"),
        },
    ),
    "diagnosis.exact_rewrites.TRAINING_ONLY": Table(
        exact_rewrites.TRAINING_ONLY,
        layers={
            "computes": families(LAYERS, "in training only", "augmentation"),
            "gives on a mask": {"Masking"},
            "changes pictures outside training, too, or boxes": named("RandomCrop MaxNumBoundingBoxes Pipeline"),
            "nobody has asked for it": NEW_AUGMENTATION
            - named("RandomHue RandomSaturation RandomSharpness RandomShear RandomColorJitter RandomErasing")
            - named("MaxNumBoundingBoxes Pipeline"),
        },
    ),
    "diagnosis.exact_rewrites.FOLDS_INTO": Table(
        exact_rewrites.FOLDS_INTO,
        layers={
            "no kernel": ALL_BUT_KERNELS,
            "what it reads is spread, or it has two kernels": of_ranks("Conv{}DTranspose")
            | named("SeparableConv1D SeparableConv2D EinsumDense"),
            "nobody has asked for it": named("Conv3D DepthwiseConv1D"),
        },
    ),
    "diagnosis.tensor_match.KINDS": Table(
        beginning_with(name for names in tensor_match.KINDS.values() for name in names),
        layers={
            "called by others only, or nothing to compute": WRAPPED_OR_NONE,
            "found by its name and values": of(LAYERS, "embeddings", "activations", "augmentation", "features")
            | of(LAYERS, "in training only", "adaptive poolings", "spectrograms", "code")
            | named("DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D EinsumDense GRU LSTM RNN")
            | named("SimpleRNN Bidirectional SpectralNormalization TimeDistributed")
            | named("Attention GroupedQueryAttention MultiHeadAttention")
            | named("BatchNormalization GroupNormalization LayerNormalization RMSNormalization UnitNormalization")
            | named("Average Dot Maximum Minimum Permute RepeatVector CenterCrop Resizing")
            | of_ranks("Cropping{}D", "UpSampling{}D"),
        },
    ),
    "low_rank.places": Table(
        {*(layer.__name__ for layer in places.KINDS), *places.SEPARABLE, *copies.DEPTHWISE},
        layers={
            "no kernel": ALL_BUT_KERNELS - {"Embedding"},
            "nobody has asked for it": named("Conv3D EinsumDense") | of_ranks("Conv{}DTranspose"),
        },
    ),
    "models.lookups": Table(
        lookups.UNTRAINED,
        layers={"its weights are trained, or it has none": families(LAYERS, "features") - {"Normalization"}},
    ),
    "models.lookups.WITHOUT_OP": Table(
        lookups.WITHOUT_OP,
        layers={"a TFLite runtime has ops for it": families(LAYERS, "features") | {"Discretization"}},
    ),
    "weights.pruning.OTHER_AXES": Table(
        pruning.OTHER_AXES,
        layers={
            "the last axis but one is that of its inputs": LAYERS["dense"]
            | LAYERS["convolutions"] - of_ranks("Conv{}DTranspose"),
            "no kernel that is pruned in groups": ALL_BUT_KERNELS - {"Embedding"},
        },
    ),
    "engines.tfmot.engine.COMBINABLE": Table(
        engine.COMBINABLE,
        layers={
            "tf_keras has none": ONLY_KERAS3,
            "not one kernel at an attribute of its own": ALL_BUT_KERNELS - ONLY_KERAS3 - {"Embedding"},
            "tfmot works on none, or on their channels": named("Conv1DTranspose Conv3DTranspose EinsumDense")
            | named("DepthwiseConv1D DepthwiseConv2D"),
        },
    ),
    "engines.tfmot.prune.TWO_OF_FOUR_LAYERS": Table(
        prune.TWO_OF_FOUR_LAYERS,
        layers={
            "no kernel that tfmot prunes": ALL_BUT_KERNELS,
            "its groups would lie along another axis": LAYERS["convolutions"] - {"Conv2D", "SeparableConv2D"}
            | {"EinsumDense"},
        },
    ),
    "engines.tfmot.qat": Table(
        {*qat.FOLDS_BATCH_NORM, *qat.BY_PATTERN, *qat.FOLLOWERS},
        layers={
            "tfmot's registry says": ALL_BUT_KERNELS - named("Activation ReLU BatchNormalization")
            | named("Conv1D Conv3D Conv1DTranspose Conv3DTranspose DepthwiseConv1D EinsumDense"),
        },
    ),
    "safety.configuration.CODE_CLASSES": Table(
        CODE_CLASSES & families(LAYERS), layers={"its configuration is data": families(LAYERS, "code")}
    ),
}
"""Every table of classes of Keras 3 in these rooms, and why it doesn't hold the others."""
