"""Every class of layers and operations that the installed Keras has, by what it does.

``test_layer_tables`` says of each of our tables which of them it holds. A class that is in no family here is new: put
it into one, and see which tables ought to hold it.
"""

from __future__ import annotations


def _named(names: str) -> frozenset[str]:
    return frozenset(names.split())


RANKS = (1, 2, 3)


def of_ranks(*kinds: str) -> frozenset[str]:
    """Return ``Conv1D``, ``Conv2D`` and ``Conv3D`` for ``Conv{}D``."""
    return frozenset(kind.format(rank) for kind in kinds for rank in RANKS)


LAYERS = {
    "convolutions": of_ranks("Conv{}D", "Conv{}DTranspose")
    | _named("DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D"),
    "dense": _named("Dense EinsumDense"),
    "embeddings": _named("Embedding ReversibleEmbedding"),
    "recurrent": _named("GRU LSTM RNN SimpleRNN") | of_ranks("ConvLSTM{}D"),
    "cells": _named("GRUCell LSTMCell SimpleRNNCell StackedRNNCells"),
    "around a layer": _named("Bidirectional SpectralNormalization TimeDistributed Wrapper"),
    "attention": _named("AdditiveAttention Attention GroupedQueryAttention MultiHeadAttention"),
    "normalizations": _named(
        """
        BatchNormalization GroupNormalization LayerNormalization Normalization RMSNormalization Rescaling
        UnitNormalization
        """
    ),
    "activations": _named("Activation ELU LeakyReLU PReLU ReLU Softmax"),
    "merges": _named("Add Average Concatenate Dot Maximum Minimum Multiply Subtract"),
    "poolings": of_ranks("AveragePooling{}D", "MaxPooling{}D"),
    "global poolings": of_ranks("GlobalAveragePooling{}D", "GlobalMaxPooling{}D"),
    "adaptive poolings": of_ranks("AdaptiveAveragePooling{}D", "AdaptiveMaxPooling{}D"),
    "shapes": _named("Flatten Permute RepeatVector Reshape"),
    "sizes": _named("CenterCrop Resizing") | of_ranks("Cropping{}D", "UpSampling{}D", "ZeroPadding{}D"),
    "in training only": _named(
        "ActivityRegularization AlphaDropout Dropout GaussianDropout GaussianNoise Identity Masking"
    )
    | of_ranks("SpatialDropout{}D"),
    "augmentation": _named(
        """
        AugMix AutoContrast ContrastLimitedAdaptiveHistogramEqualization CutMix Equalization MaxNumBoundingBoxes MixUp
        Pipeline RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop
        RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHue RandomInvert
        RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness RandomShear
        RandomTranslation RandomZoom Solarization
        """
    ),
    "features": _named(
        "CategoryEncoding Discretization HashedCrossing Hashing IntegerLookup StringLookup TextVectorization"
    ),
    "spectrograms": _named("MelSpectrogram STFTSpectrogram"),
    "code": _named("FlaxLayer JaxLayer Lambda TFSMLayer TorchModuleWrapper"),
    "no computation": _named("InputLayer Layer"),
}
"""What they do -> classes of ``keras.layers``."""

OPERATIONS = {
    "activations": _named(
        """
        Celu Elu Erf Gelu HardShrink HardSigmoid HardSilu HardTanh LeakyRelu LogSigmoid Relu Relu6 Selu Sigmoid Silu
        SoftShrink Softplus Softsign SparsePlus SparseSigmoid Squareplus Tanh TanhShrink Threshold
        """
    ),
    "activations over an axis": _named("Glu LogSoftmax Softmax Sparsemax"),
    "arithmetic of one": _named(
        """
        Abs Absolute Cast Ceil Clip Cos Exp Expm1 Floor Log Log1p Negative Reciprocal Round Rsqrt Sign Sin Sqrt Square
        """
    ),
    "rare arithmetic of one": _named(
        """
        Angle Arccos Arccosh Arcsin Arcsinh Arctan Arctanh Cbrt Conj Conjugate Cosh Deg2rad Erfc Erfinv Exp2 Fabs
        Heaviside I0 Imag Isfinite Isinf Isnan Isneginf Isposinf Isreal Log10 Log2 LogicalNot NanToNum Rad2deg Real
        SaturateCast Signbit Sinc Sinh Tan Trunc ViewAsComplex ViewAsReal
        """
    ),
    "arithmetic of two": _named("Add Divide Maximum Minimum Multiply Power Subtract TrueDivide"),
    "rare arithmetic of two": _named(
        """
        Arctan2 CDist DivideNoNan FloorDivide Fmax Fmin Fmod Gcd Hypot Lcm Ldexp Logaddexp Logaddexp2 Mod Nextafter
        Polar
        """
    ),
    "comparisons": _named(
        """
        AllClose Equal Greater GreaterEqual IsIn Isclose Less LessEqual LogicalAnd LogicalOr LogicalXor NotEqual Select
        Where
        """
    ),
    "bits": _named(
        """
        BitwiseAnd BitwiseInvert BitwiseLeftShift BitwiseNot BitwiseOr BitwiseRightShift BitwiseXor LeftShift RightShift
        """
    ),
    "reductions": _named("Amax Amin Max Mean Min Std Sum Var"),
    "rare reductions": _named(
        """
        All Any Argmax Argmin Average CountNonzero Logsumexp Median Moments Nanargmax Nanargmin Nanmax Nanmean Nanmedian
        Nanmin Nanpercentile Nanprod Nanquantile Nanstd Nansum Nanvar Norm Percentile Prod Ptp Quantile SegmentMax
        SegmentMin SegmentProd SegmentReduction SegmentSum Trace Trapezoid
        """
    ),
    "running sums": _named("AssociativeScan Cumprod Cumsum Diff Nancumprod Nancumsum"),
    "products": _named("Correlate Cross Dot DotProductAttention Einsum Inner Kron Matmul Outer Tensordot Vdot"),
    "convolutions": _named("Conv ConvTranspose DepthwiseConv SeparableConv"),
    "poolings": _named("AdaptiveAveragePool AdaptiveMaxPool AveragePool MaxPool"),
    "normalizations": _named("BatchNorm LayerNorm Normalize RMSNorm"),
    "shapes": _named(
        """
        BroadcastTo Concatenate ExpandDims Flip GetItem Moveaxis Pad Repeat Reshape Roll Slice Split Squeeze Stack
        Swapaxes Take Tile Transpose Unstack
        """
    ),
    "rare shapes": _named(
        """
        Append ArraySplit DepthToSpace Diag Diagflat Diagonal Dsplit Dstack ExtractSequences Fliplr Flipud Fold Hsplit
        Hstack Meshgrid Ravel Rearrange Rot90 Scatter ScatterUpdate SliceUpdate SpaceToDepth TakeAlongAxis Tril Triu
        Unfold View Vsplit Vstack
        """
    ),
    "images": _named(
        """
        AffineTransform CropImages ElasticTransform ExtractPatches GaussianBlur HSVToRGB MapCoordinates PadImages
        PerspectiveTransform RGBToGrayscale RGBToHSV Resize ScaleAndTranslate SobelEdges
        """
    ),
    "new tensors": _named(
        """
        Arange Array ConvertToTensor EmptyLike Full FullLike Geomspace Linspace Logspace MultiHot Ndim OneHot OnesLike
        Size Vander ZerosLike
        """
    ),
    "order": _named(
        """
        Argpartition Argsort Bincount Digitize Histogram InTopK Nonzero SearchSorted Sort TopK Unique UnravelIndex
        """
    ),
    "spectra": _named("FFT FFT2 IFFT2 IRFFT ISTFT RFFT STFT"),
    "linear algebra": _named(
        """
        Cholesky CholeskyInverse Corrcoef Det Eig Eigh Inv JVP Logdet Lstsq LuFactor MatrixRank Pinv Qr SVD Slogdet
        Solve SolveTriangular
        """
    ),
    "losses": _named(
        "BinaryCrossentropy CTCDecode CTCLoss CategoricalCrossentropy PSNR SSIM SparseCategoricalCrossentropy"
    ),
    "control flow": _named("Cond ForiLoop Map Scan Switch VectorizedMap WhileLoop"),
    "as it is": _named("Copy StopGradient"),
    "no computation": _named("Function Operation"),
}
"""What they do -> classes of operations, those behind the functions of ``keras.ops``."""

ONLY_KERAS2 = _named(
    """
    AbstractRNNCell DenseFeatures LocallyConnected1D LocallyConnected2D RandomHeight RandomWidth ThresholdedReLU
    """
)
"""Classes of ``tf_keras.layers`` that ``keras.layers`` has not."""

ONLY_KERAS3 = (
    LAYERS["adaptive poolings"]
    | LAYERS["spectrograms"]
    | (LAYERS["code"] - {"Lambda"})
    | _named("GroupedQueryAttention RMSNormalization ReversibleEmbedding")
    | LAYERS["augmentation"]
    - _named("RandomBrightness RandomContrast RandomCrop RandomFlip RandomRotation RandomTranslation RandomZoom")
)
"""Classes of ``keras.layers`` that ``tf_keras.layers`` has not: the bridge refuses them by name."""
