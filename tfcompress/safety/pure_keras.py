"""Keras's functions and operations that a model's configuration may name: pure arithmetic on tensors, spelt out.

Keras 2 files name functions (``keras.activations.relu``), Keras 3 files the classes of operations (``Relu`` of
``keras.src.ops.nn``). The rule is that of :mod:`~tfcompress.safety.pure_functions`.

Light: the child that looks into a file imports this.
"""

from __future__ import annotations


def prefixed(prefix: str, names: str) -> frozenset[str]:
    """Return the names in *names*, parted by blanks, each behind the prefix."""
    return frozenset(prefix + name for name in names.split())


ACTIVATIONS = prefixed(
    "keras.activations.",
    """
    elu exponential gelu hard_sigmoid linear mish relu selu sigmoid softmax softplus softsign swish tanh
    """,
)

BACKEND = prefixed(
    "keras.backend.",
    """
    abs all any arange argmax argmin batch_dot batch_flatten batch_normalization bias_add binary_crossentropy
    binary_focal_crossentropy cast cast_to_floatx categorical_crossentropy categorical_focal_crossentropy clip
    concatenate constant conv1d conv2d conv2d_transpose conv3d cos ctc_batch_cost ctc_decode ctc_label_dense_to_sparse
    cumprod cumsum depthwise_conv2d dot dropout elu equal exp expand_dims flatten gather greater greater_equal
    hard_sigmoid in_top_k l2_normalize less less_equal local_conv1d local_conv2d log max maximum mean min minimum
    normalize_batch_in_training not_equal one_hot permute_dimensions pool2d pool3d pow prod random_bernoulli
    random_binomial random_normal random_uniform relu repeat repeat_elements reshape resize_images resize_volumes
    reverse round separable_conv2d shape sigmoid sign sin softmax softplus softsign sparse_categorical_crossentropy
    spatial_2d_padding spatial_3d_padding sqrt square squeeze stack std stop_gradient sum tanh temporal_padding tile
    to_dense transpose truncated_normal var
    """,
)
"""Without what reads or sets state, runs a function, or makes a variable (``zeros``, ``ones`` and ``eye`` do)."""

LOSSES = prefixed(
    "keras.losses.",
    """
    KLD MAE MAPE MSE MSLE binary_crossentropy binary_focal_crossentropy categorical_crossentropy
    categorical_focal_crossentropy categorical_hinge cosine_similarity hinge huber kl_divergence kld
    kullback_leibler_divergence log_cosh logcosh mae mape mean_absolute_error mean_absolute_percentage_error
    mean_squared_error mean_squared_logarithmic_error mse msle poisson sparse_categorical_crossentropy squared_hinge
    """,
)

METRICS = prefixed(
    "keras.metrics.",
    """
    KLD MAE MAPE MSE MSLE binary_accuracy binary_crossentropy binary_focal_crossentropy categorical_accuracy
    categorical_crossentropy categorical_focal_crossentropy hinge kl_divergence kld kullback_leibler_divergence
    log_cosh logcosh mae mape mean_absolute_error mean_absolute_percentage_error mean_squared_error
    mean_squared_logarithmic_error mse msle poisson sparse_categorical_accuracy sparse_categorical_crossentropy
    sparse_top_k_categorical_accuracy squared_hinge top_k_categorical_accuracy
    """,
)

KERAS2_FUNCTIONS: frozenset[str] = ACTIVATIONS | BACKEND | LOSSES | METRICS
"""Public names of tf_keras's functions, as its registry has them."""

OPERATION_MODULES = frozenset(
    {f"keras.src.ops.{module}" for module in ("core", "einops", "image", "linalg", "math", "nn", "numpy")}
    | {"keras.src.activations.activations"}
)
"""Modules of Keras 3 that hold its operations; a file names them beside the class."""

CORE_OPERATIONS = prefixed(
    "",
    """
    Cast ConvertToTensor SaturateCast Scatter ScatterUpdate Slice SliceUpdate StopGradient Unstack
    """,
)

IMAGE_OPERATIONS = prefixed(
    "",
    """
    AffineTransform CropImages ElasticTransform ExtractPatches GaussianBlur HSVToRGB MapCoordinates PadImages
    PerspectiveTransform RGBToGrayscale RGBToHSV Resize SSIM ScaleAndTranslate SobelEdges
    """,
)

LINALG_OPERATIONS = prefixed(
    "",
    """
    Cholesky CholeskyInverse Det Eig Eigh Inv Lstsq LuFactor MatrixRank Norm Pinv Qr SVD Solve SolveTriangular
    """,
)
"""Without ``JVP``, which takes a function."""

MATH_OPERATIONS = prefixed(
    "",
    """
    CDist Erf Erfc Erfinv ExtractSequences FFT FFT2 IFFT2 IRFFT ISTFT InTopK Logdet Logsumexp RFFT Rsqrt STFT
    SegmentMax SegmentMin SegmentProd SegmentSum TopK ViewAsComplex ViewAsReal
    """,
)

NN_OPERATIONS = prefixed(
    "",
    """
    AdaptiveAveragePool AdaptiveMaxPool AveragePool BatchNorm BinaryCrossentropy CTCDecode CTCLoss
    CategoricalCrossentropy Celu Conv ConvTranspose DepthToSpace DepthwiseConv DotProductAttention Elu Fold Gelu Glu
    HardShrink HardSigmoid HardSilu HardTanh LayerNorm LeakyRelu LogSigmoid LogSoftmax MaxPool Mish Moments MultiHot
    Normalize OneHot PSNR Polar RMSNorm ReLU Relu Relu6 Selu SeparableConv Sigmoid Silu SoftShrink Softmax Softplus
    Softsign SpaceToDepth SparseCategoricalCrossentropy SparsePlus SparseSigmoid Sparsemax Squareplus TanhShrink
    Threshold Unfold
    """,
)
"""Those of ``keras.activations`` too."""

NUMPY_OPERATIONS = prefixed(
    "",
    """
    Abs Absolute Add All AllClose Amax Amin Angle Any Append Arange Arccos Arccosh Arcsin Arcsinh Arctan Arctan2
    Arctanh Argmax Argmin Argpartition Argsort Array ArraySplit Average Bincount BitwiseAnd BitwiseInvert
    BitwiseLeftShift BitwiseNot BitwiseOr BitwiseRightShift BitwiseXor BroadcastTo Cbrt Ceil Clip Concatenate Conj
    Conjugate Copy Corrcoef Correlate Cos Cosh CountNonzero Cross Cumprod Cumsum Deg2rad Diag Diagflat Diagonal Diff
    Digitize Divide DivideNoNan Dot Dsplit Dstack Einsum EmptyLike Equal Exp Exp2 ExpandDims Expm1 Fabs Flip Fliplr
    Flipud Floor FloorDivide Fmax Fmin Fmod Full FullLike Gcd Geomspace GetItem Greater GreaterEqual Heaviside
    Histogram Hsplit Hstack Hypot I0 Imag Inner IsIn Isclose Isfinite Isinf Isnan Isneginf Isposinf Isreal Kron Lcm
    Ldexp LeftShift Less LessEqual Linspace Log Log10 Log1p Log2 Logaddexp Logaddexp2 LogicalAnd LogicalNot LogicalOr
    LogicalXor Logspace Matmul Max Maximum Mean Median Meshgrid Min Minimum Mod Moveaxis Multiply NanToNum Nanargmax
    Nanargmin Nancumprod Nancumsum Nanmax Nanmean Nanmedian Nanmin Nanpercentile Nanprod Nanquantile Nanstd Nansum
    Nanvar Negative Nextafter Nonzero NotEqual OnesLike Outer Pad Percentile Power Prod Ptp Quantile Rad2deg Ravel
    Real Rearrange Reciprocal Repeat Reshape RightShift Roll Rot90 Round SearchSorted Select Sign Signbit Sin Sinc
    Sinh Size Slogdet Sort Split Sqrt Square Squeeze Stack Std Subtract Sum Swapaxes Take TakeAlongAxis Tan Tanh
    Tensordot Tile Trace Transpose Trapezoid Tril Triu TrueDivide Trunc Unique UnravelIndex Vander Var Vdot View
    Vsplit Vstack Where ZerosLike
    """,
)
"""Those of ``keras.ops.einops`` too. Without ``Ndim``, which gives a number and no tensor."""

OLDER_OPERATIONS = prefixed("", "Bartlett Blackman ExtractPatches3D Hamming Hanning Kaiser")
"""Keras 3.12 to 3.14 have some of these, 3.15 has none."""

KERAS3_OPERATIONS: frozenset[str] = frozenset().union(
    CORE_OPERATIONS,
    IMAGE_OPERATIONS,
    LINALG_OPERATIONS,
    MATH_OPERATIONS,
    NN_OPERATIONS,
    NUMPY_OPERATIONS,
    OLDER_OPERATIONS,
)
"""Names of classes in :data:`OPERATION_MODULES`; a layer may have the same name (``Add``), in another module."""


def is_pure_operation_class(name: object) -> bool:
    """Say whether an operation of Keras 3 has this class and is in the table; its module is not looked at."""
    return isinstance(name, str) and name in KERAS3_OPERATIONS


def is_pure_operation(module: object, name: object) -> bool:
    """Say whether a Keras 3 file may name this class of this module: ``keras.src.ops.numpy``, ``Add``."""
    return isinstance(module, str) and module in OPERATION_MODULES and is_pure_operation_class(name)
