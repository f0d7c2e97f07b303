"""The tables of :mod:`tfcompress.quantization` that hold classes of Keras."""

from __future__ import annotations

from tests.class_tables import (
    ADAPTIVE,
    ALL_BUT_KERNELS,
    FUNCTIONS_INSIDE,
    NEW_AUGMENTATION,
    PICTURES,
    RARE,
    RAW_NETWORK,
    WRAPPED_OR_NONE,
    Table,
    families,
    named,
    of,
)
from tests.keras_classes import LAYERS, OPERATIONS, of_ranks
from tfcompress.quantization import (
    baking,
    data_free,
    expand,
    expand_recurrent,
    four_bits,
    gptq,
    rules,
    scalable_channels,
    steps,
)
from tfcompress.quantization.exact.operators import EXACT

QUANTIZATION = {
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
    "quantization.gptq.COLUMNS": Table(
        gptq.COLUMNS,
        layers={
            "no product with a kernel": ALL_BUT_KERNELS,
            "nobody has asked for it": named("DepthwiseConv1D Conv1DTranspose Conv2DTranspose"),
            "stays in float": named("Conv3D Conv3DTranspose"),
            "expanded": named("EinsumDense SeparableConv1D SeparableConv2D"),
        },
    ),
    "quantization.scalable_channels.IN_AXES": Table(
        scalable_channels.IN_AXES,
        layers={
            "no kernel to scale": ALL_BUT_KERNELS,
            "nobody has asked for it": named("Conv1DTranspose Conv2DTranspose"),
            "stays in float": named("Conv3D Conv3DTranspose"),
            "expanded": named("EinsumDense SeparableConv1D SeparableConv2D"),
        },
    ),
    "quantization.scalable_channels, what passes factors": Table(
        {*scalable_channels.COMMUTES, *scalable_channels.MERGES, *scalable_channels.RESHAPES},
        layers={
            "called by others only, or nothing to compute": WRAPPED_OR_NONE,
            "takes the factor into its kernel, or ends it": of(LAYERS, "convolutions", "dense", "embeddings")
            | of(LAYERS, "recurrent", "attention"),
            "passes it where it is a ReLU, or follows a scaled kernel": named("Activation ReLU BatchNormalization"),
            "not the same of a number times its factor": named("ELU Softmax Dot Multiply GroupNormalization")
            | named("LayerNormalization Normalization RMSNormalization Rescaling UnitNormalization")
            | {"SpectralNormalization"},
            "expanded": named("Bidirectional TimeDistributed AveragePooling3D MaxPooling3D")
            | named("GlobalAveragePooling3D GlobalMaxPooling3D"),
            "passes it where it repeats": {"Resizing"},
            "gone before, or comes before what is exported": of(LAYERS, "augmentation", "features", "spectrograms")
            | named("ActivityRegularization AlphaDropout GaussianDropout GaussianNoise Masking SpatialDropout3D"),
            "nobody has asked for it": LAYERS["adaptive poolings"]
            | named("Permute RepeatVector CenterCrop Cropping3D UpSampling3D ZeroPadding3D"),
            "its inside is not known": LAYERS["code"],
        },
        operations={
            "passes it where it is a ReLU, or repeats": named("Relu Relu6 Multiply Resize"),
            "not the same of a number times its factor": of(OPERATIONS, "arithmetic of one", "activations over an axis")
            | OPERATIONS["activations"] - named("LeakyRelu Relu Relu6")
            | named("Divide Power TrueDivide"),
            "nobody has asked for it": (RARE - {"Average"})
            | RAW_NETWORK
            | PICTURES
            | of(OPERATIONS, "reductions", "products", "poolings", "as it is")
            | OPERATIONS["shapes"] - named("Concatenate Reshape"),
            "has functions inside, or computes nothing": FUNCTIONS_INSIDE,
        },
    ),
    "quantization.data_free": Table(
        {*data_free.MERGING, *data_free.MOVING, *data_free.ELEMENTWISE, *data_free.RESHAPES},
        layers={
            "called by others only, or nothing to compute": WRAPPED_OR_NONE,
            "in a TransformedLayer": of(LAYERS, "convolutions", "dense") - named("Conv3D Conv3DTranspose EinsumDense"),
            "in a FreezableBatchNormalization": {"BatchNormalization"},
            "nothing bounds it without samples": of(LAYERS, "embeddings", "recurrent", "attention", "adaptive poolings")
            | named("Bidirectional TimeDistributed SpectralNormalization Average Dot EinsumDense Permute RepeatVector")
            | named("Conv3D Conv3DTranspose AveragePooling3D MaxPooling3D GlobalAveragePooling3D GlobalMaxPooling3D")
            | named("GroupNormalization LayerNormalization Normalization RMSNormalization Rescaling UnitNormalization")
            | named("CenterCrop Cropping3D Resizing UpSampling1D UpSampling3D ZeroPadding3D"),
            "gone before, or comes before what is exported": of(LAYERS, "augmentation", "features", "spectrograms")
            | named("ActivityRegularization AlphaDropout GaussianDropout GaussianNoise Masking SpatialDropout3D"),
            "its inside is not known": LAYERS["code"],
        },
        operations={
            "looked at place by place, where shapes stay": of(OPERATIONS, "activations", "activations over an axis")
            - {"Softmax"}
            | OPERATIONS["arithmetic of one"] - {"Cast"}
            | named("Divide Power TrueDivide"),
            "nothing bounds it without samples": RARE
            | RAW_NETWORK
            | OPERATIONS["images"]
            | of(OPERATIONS, "reductions", "products", "poolings", "as it is")
            | OPERATIONS["shapes"] - named("Concatenate Reshape"),
            "has functions inside, or computes nothing": FUNCTIONS_INSIDE,
        },
    ),
    "quantization.steps.BEFORE_NORMALIZATION": Table(
        steps.BEFORE_NORMALIZATION,
        layers={
            "no kernel with a scale a channel": ALL_BUT_KERNELS | {"EinsumDense"},
            "stays in float": named("Conv3D Conv3DTranspose"),
        },
    ),
    "quantization.rules.NONNEGATIVE": Table(
        rules.NONNEGATIVE,
        layers={
            "computes on a scale of its own": families(LAYERS, "poolings", "shapes", "sizes", "in training only")
            - named("GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D Concatenate"),
            "likewise, or nobody has asked for it": named("CenterCrop Cropping3D UpSampling3D ZeroPadding3D Masking")
            | named("Resizing UpSampling1D UpSampling2D ActivityRegularization AlphaDropout GaussianDropout")
            | named("GaussianNoise SpatialDropout3D"),
        },
        operations={
            "computes on a scale of its own, or nobody has asked for it": families(OPERATIONS, "shapes"),
            "nobody has asked for it": OPERATIONS["shapes"] - named("Concatenate GetItem Reshape"),
        },
    ),
}
"""Every table of classes of Keras 3 in the room, and why it doesn't hold the others."""
