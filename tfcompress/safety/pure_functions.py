"""The TensorFlow functions that a model's configuration may name: pure arithmetic on tensors, spelt out.

A file of a tf_keras model names the functions of its ``TFOpLambda`` and ``SlicingOpLambda`` layers, and one of ours
those of its ``TensorFlowOperation`` layers. A name that is not here is refused, whatever it looks like. None of these
takes a Python function, knows a file, prints, asserts, makes a variable, sets what other calls see, or returns anything
but tensors. Random numbers are arithmetic too: drawing them moves a generator, and nothing else.

Light: the child that looks into a file imports this.
"""

from __future__ import annotations

from tfcompress.safety.pure_keras import KERAS2_FUNCTIONS, prefixed

OPERATORS = prefixed("__operators__.", "add eq getitem ne ragged_getitem")
"""What the operators of the language call where ``tf.math`` has no function for it."""

ARRAYS = prefixed(
    "",
    """
    argsort batch_to_space bitcast boolean_mask broadcast_dynamic_shape broadcast_to cast complex concat constant
    convert_to_tensor dtypes.cast dtypes.complex dtypes.saturate_cast dynamic_partition dynamic_stitch edit_distance
    ensure_shape expand_dims extract_volume_patches eye fill fingerprint gather gather_nd guarantee_const
    histogram_fixed_width histogram_fixed_width_bins identity identity_n linspace meshgrid one_hot ones ones_like pad
    parallel_stack range rank repeat required_space_to_batch_paddings reshape reverse reverse_sequence roll
    saturate_cast scatter_nd searchsorted sequence_mask shape shape_n size slice sort space_to_batch space_to_batch_nd
    split squeeze stack stop_gradient strided_slice tensor_scatter_nd_add tensor_scatter_nd_max tensor_scatter_nd_min
    tensor_scatter_nd_sub tensor_scatter_nd_update tile transpose unique unique_with_counts unravel_index unstack
    where zeros zeros_like
    """,
)
"""Making, joining, cutting and rearranging tensors."""

PLAIN = prefixed(
    "",
    """
    abs acos acosh add add_n argmax argmin as_string asin asinh atan atan2 atanh clip_by_global_norm clip_by_norm
    clip_by_value cos cosh cumsum divide eig eigvals einsum equal exp floor greater greater_equal less less_equal
    logical_and logical_not logical_or matmul matrix_square_root maximum minimum multiply negative norm not_equal pow
    realdiv reduce_all reduce_any reduce_logsumexp reduce_max reduce_mean reduce_min reduce_prod reduce_sum round
    scalar_mul sigmoid sign sin sinh sqrt square subtract tan tanh tensordot truediv truncatediv truncatemod
    """,
)
"""Arithmetic under a name without a family; most have another in ``math`` or ``linalg``."""

BITWISE = prefixed("bitwise.", "bitwise_and bitwise_or bitwise_xor invert left_shift right_shift")

IMAGE = prefixed(
    "image.",
    """
    adjust_brightness adjust_contrast adjust_gamma adjust_hue adjust_saturation central_crop
    combined_non_max_suppression convert_image_dtype crop_and_resize crop_to_bounding_box draw_bounding_boxes
    extract_glimpse extract_patches flip_left_right flip_up_down generate_bounding_box_proposals grayscale_to_rgb
    hsv_to_rgb image_gradients non_max_suppression non_max_suppression_overlaps non_max_suppression_padded
    non_max_suppression_with_scores pad_to_bounding_box per_image_standardization psnr random_brightness
    random_contrast random_crop random_flip_left_right random_flip_up_down random_hue random_saturation resize
    resize_with_crop_or_pad resize_with_pad rgb_to_grayscale rgb_to_hsv rgb_to_yiq rgb_to_yuv rot90
    sample_distorted_bounding_box sobel_edges ssim ssim_multiscale stateless_random_brightness
    stateless_random_contrast stateless_random_crop stateless_random_flip_left_right stateless_random_flip_up_down
    stateless_random_hue stateless_random_saturation stateless_sample_distorted_bounding_box total_variation transpose
    yiq_to_rgb yuv_to_rgb
    """,
)
"""Without reading and writing image formats."""

LINALG = prefixed(
    "linalg.",
    """
    adjoint band_part banded_triangular_solve cholesky cholesky_solve cross det diag diag_part eig eigh
    eigh_tridiagonal eigvals eigvalsh einsum expm eye global_norm inv l2_normalize logdet logm lstsq lu
    lu_matrix_inverse lu_reconstruct lu_solve matmul matrix_rank matrix_transpose matvec norm normalize pinv qr
    set_diag slogdet solve sqrtm svd tensor_diag tensor_diag_part tensordot trace triangular_solve tridiagonal_matmul
    tridiagonal_solve
    """,
)

MATH = prefixed(
    "math.",
    """
    abs accumulate_n acos acosh add add_n angle approx_max_k approx_min_k argmax argmin asin asinh atan atan2 atanh
    bessel_i0 bessel_i0e bessel_i1 bessel_i1e betainc bincount ceil confusion_matrix conj cos cosh count_nonzero
    cumprod cumsum cumulative_logsumexp digamma divide divide_no_nan equal erf erfc erfcinv erfinv exp expm1 floor
    floordiv floormod greater greater_equal igamma igammac imag in_top_k invert_permutation is_finite is_inf is_nan
    is_non_decreasing is_strictly_increasing l2_normalize lbeta less less_equal lgamma log log1p log_sigmoid
    log_softmax logical_and logical_not logical_or logical_xor maximum minimum mod multiply multiply_no_nan ndtri
    negative nextafter not_equal polygamma polyval pow real reciprocal reciprocal_no_nan reduce_all reduce_any
    reduce_euclidean_norm reduce_logsumexp reduce_max reduce_mean reduce_min reduce_prod reduce_std reduce_sum
    reduce_variance rint round rsqrt scalar_mul segment_max segment_mean segment_min segment_prod segment_sum sigmoid
    sign sin sinh sobol_sample softmax softplus softsign sqrt square squared_difference subtract tan tanh top_k
    truediv unsorted_segment_max unsorted_segment_mean unsorted_segment_min unsorted_segment_prod
    unsorted_segment_sqrt_n unsorted_segment_sum xdivy xlog1py xlogy zero_fraction zeta
    """,
)

SPECIAL = prefixed(
    "math.special.",
    """
    bessel_i0 bessel_i0e bessel_i1 bessel_i1e bessel_j0 bessel_j1 bessel_k0 bessel_k0e bessel_k1 bessel_k1e bessel_y0
    bessel_y1 dawsn expint fresnel_cos fresnel_sin spence
    """,
)

NN = prefixed(
    "nn.",
    """
    all_candidate_sampler approx_max_k approx_min_k atrous_conv2d atrous_conv2d_transpose avg_pool avg_pool1d
    avg_pool2d avg_pool3d batch_norm_with_global_normalization batch_normalization bias_add collapse_repeated
    compute_accidental_hits conv1d conv1d_transpose conv2d conv2d_transpose conv3d conv3d_transpose conv_transpose
    convolution crelu ctc_beam_search_decoder ctc_greedy_decoder ctc_loss ctc_unique_labels depth_to_space
    depthwise_conv2d depthwise_conv2d_backprop_filter depthwise_conv2d_backprop_input dilation2d dropout elu
    embedding_lookup embedding_lookup_sparse erosion2d experimental.stateless_dropout fractional_avg_pool
    fractional_max_pool gelu in_top_k isotonic_regression l2_loss l2_normalize leaky_relu local_response_normalization
    log_poisson_loss log_softmax lrn max_pool max_pool1d max_pool2d max_pool3d max_pool_with_argmax moments nce_loss
    normalize_moments pool relu relu6 safe_embedding_lookup_sparse sampled_softmax_loss selu separable_conv2d sigmoid
    sigmoid_cross_entropy_with_logits silu softmax softmax_cross_entropy_with_logits softplus softsign space_to_batch
    space_to_depth sparse_softmax_cross_entropy_with_logits sufficient_statistics swish tanh top_k
    weighted_cross_entropy_with_logits weighted_moments zero_fraction
    """,
)
"""Without what takes a recurrent cell, an operation, a vocabulary file or the strategy of distribution."""

QUANTIZATION = prefixed(
    "quantization.",
    """
    dequantize fake_quant_with_min_max_args fake_quant_with_min_max_args_gradient fake_quant_with_min_max_vars
    fake_quant_with_min_max_vars_gradient fake_quant_with_min_max_vars_per_channel
    fake_quant_with_min_max_vars_per_channel_gradient quantize quantize_and_dequantize quantize_and_dequantize_v2
    quantized_concat
    """,
)

RAGGED_AND_SPARSE = prefixed(
    "ragged.",
    """
    boolean_mask constant cross cross_hashed range row_splits_to_segment_ids segment_ids_to_row_splits stack
    stack_dynamic_partitions
    """,
) | prefixed(
    "sparse.",
    """
    add bincount concat cross cross_hashed expand_dims eye fill_empty_rows from_dense mask maximum minimum reduce_max
    reduce_sum reorder reset_shape reshape retain sampled_addmm segment_mean segment_sqrt_n segment_sum slice softmax
    sparse_dense_matmul split to_dense to_indicator transpose
    """,
)
"""Without mapping a function over the values."""

RANDOM = prefixed(
    "random.",
    """
    all_candidate_sampler categorical experimental.index_shuffle experimental.stateless_fold_in
    experimental.stateless_shuffle experimental.stateless_split fold_in gamma log_uniform_candidate_sampler normal
    poisson shuffle split stateless_binomial stateless_categorical stateless_gamma stateless_normal
    stateless_parameterized_truncated_normal stateless_poisson stateless_truncated_normal stateless_uniform
    truncated_normal uniform uniform_candidate_sampler
    """,
) | {"random_index_shuffle"}
"""Without setting seeds and generators."""

SETS = prefixed("sets.", "difference intersection size union")

SIGNAL = prefixed(
    "signal.",
    """
    dct fft fft2d fft3d fftnd fftshift frame hamming_window hann_window idct ifft ifft2d ifft3d ifftnd ifftshift irfft
    irfft2d irfft3d irfftnd kaiser_bessel_derived_window kaiser_window linear_to_mel_weight_matrix
    mfccs_from_log_mel_spectrograms overlap_and_add rfft rfft2d rfft3d rfftnd vorbis_window
    """,
) | prefixed("", "fftnd ifftnd irfftnd rfftnd")

WINDOWED = prefixed("signal.", "inverse_mdct inverse_stft mdct stft")
"""Transforms that may be given their window as a Python function. A file holds none: it has the default window."""

STRINGS = prefixed(
    "strings.",
    """
    as_string bytes_split format join length lower ngrams reduce_join regex_full_match regex_replace split strip
    substr to_hash_bucket to_hash_bucket_fast to_hash_bucket_strong to_number unicode_decode
    unicode_decode_with_offsets unicode_encode unicode_script unicode_split unicode_split_with_offsets
    unicode_transcode unsorted_segment_join upper
    """,
)
"""On tensors of strings; nothing is evaluated."""

FAMILIES = (
    OPERATORS,
    ARRAYS,
    PLAIN,
    BITWISE,
    IMAGE,
    LINALG,
    MATH,
    SPECIAL,
    NN,
    QUANTIZATION,
    RAGGED_AND_SPARSE,
    RANDOM,
    SETS,
    SIGNAL,
    WINDOWED,
    STRINGS,
)

V1_PREFIX = "compat.v1."

V1_NAMES = (
    prefixed(
        "",
        """
        arg_max arg_min argmax argmin batch_gather batch_to_space batch_to_space_nd bincount boolean_mask
        clip_by_average_norm confusion_matrix constant convert_to_tensor count_nonzero depth_to_space div expand_dims
        extract_image_patches floor_div gather gather_nd multinomial norm ones_like pad quantize_v2 random_poisson
        reduce_all reduce_any reduce_join reduce_logsumexp reduce_max reduce_mean reduce_min reduce_prod reduce_sum
        reverse_sequence scalar_mul setdiff1d shape size space_to_batch space_to_depth sparse_add sparse_concat
        sparse_matmul sparse_reduce_max sparse_reduce_max_sparse sparse_reduce_sum sparse_reduce_sum_sparse
        sparse_segment_mean sparse_segment_sqrt_n sparse_segment_sum sparse_split sparse_to_dense squeeze string_split
        string_to_hash_bucket string_to_number substr to_bfloat16 to_complex128 to_complex64 to_double to_float
        to_int32 to_int64 transpose where zeros_like
        """,
    )
    | prefixed(
        "image.",
        """
        crop_and_resize draw_bounding_boxes extract_glimpse extract_image_patches resize resize_area resize_bicubic
        resize_bilinear resize_image_with_pad resize_images resize_nearest_neighbor sample_distorted_bounding_box
        """,
    )
    | prefixed("", "linalg.norm manip.batch_to_space_nd manip.gather_nd")
    | prefixed(
        "math.",
        """
        argmax argmin bincount confusion_matrix count_nonzero in_top_k log_softmax reduce_all reduce_any
        reduce_logsumexp reduce_max reduce_mean reduce_min reduce_prod reduce_sum scalar_mul softmax
        """,
    )
    | prefixed(
        "nn.",
        """
        avg_pool avg_pool2d batch_norm_with_global_normalization conv1d conv2d conv2d_backprop_filter
        conv2d_backprop_input conv2d_transpose conv3d conv3d_backprop_filter conv3d_backprop_filter_v2
        conv3d_transpose convolution crelu ctc_beam_search_decoder ctc_loss ctc_loss_v2 depth_to_space
        depthwise_conv2d depthwise_conv2d_native dilation2d dropout embedding_lookup embedding_lookup_sparse erosion2d
        fractional_avg_pool fractional_max_pool fused_batch_norm in_top_k log_softmax max_pool max_pool_with_argmax
        moments nce_loss pool quantized_avg_pool quantized_conv2d quantized_max_pool quantized_relu_x relu_layer
        safe_embedding_lookup_sparse sampled_softmax_loss separable_conv2d sigmoid_cross_entropy_with_logits softmax
        softmax_cross_entropy_with_logits softmax_cross_entropy_with_logits_v2 space_to_batch space_to_depth
        sparse_softmax_cross_entropy_with_logits sufficient_statistics weighted_cross_entropy_with_logits
        weighted_moments xw_plus_b
        """,
    )
    | prefixed("random.", "multinomial poisson stateless_multinomial")
    | prefixed(
        "sparse.",
        """
        add concat merge reduce_max reduce_max_sparse reduce_sum reduce_sum_sparse segment_mean segment_sqrt_n
        segment_sum split
        """,
    )
    | prefixed("strings.", "length reduce_join split substr to_hash_bucket to_number")
)
"""Functions that only TensorFlow 1's interface has, without ``compat.v1.``.

A function that both interfaces have is written under its name of today, so nothing else is needed under the prefix.
"""

TENSORFLOW_FUNCTIONS: frozenset[str] = frozenset().union(*FAMILIES, {V1_PREFIX + name for name in V1_NAMES})
"""Public names without ``tf.``, canonical ones and their aliases."""

INSTANCE_PROPERTIES = frozenset({"values", "flat_values", "row_splits", "nested_row_splits", "indices", "dense_shape"})
"""What an ``InstanceProperty`` layer of tf_keras may read (``attr_name``) of a ragged or sparse tensor."""

INSTANCE_METHODS = prefixed(
    "",
    """
    bounding_shape merge_dims nested_row_lengths nested_value_rowids nrows row_lengths row_limits row_starts to_sparse
    to_tensor value_rowids with_flat_values with_row_splits_dtype with_values
    """,
)
"""What an ``InstanceMethod`` layer of tf_keras may call (``attr_name``) of a ragged or sparse tensor."""

CLASS_METHODS = frozenset(
    ("RaggedTensor", method)
    for method in prefixed(
        "",
        """
        from_nested_row_lengths from_nested_row_splits from_nested_value_rowids from_row_lengths from_row_limits
        from_row_splits from_row_starts from_sparse from_tensor from_uniform_row_length from_value_rowids
        """,
    )
)
"""What a ``ClassMethod`` layer of tf_keras may call: ``cls_symbol`` and ``method_name``."""


def is_pure_tensorflow_function(name: object) -> bool:
    """Say whether a name (without ``tf.``) is that of a TensorFlow function in the table: ``math.add``."""
    return isinstance(name, str) and name in TENSORFLOW_FUNCTIONS


def is_pure_function(name: object) -> bool:
    """Say whether a tf_keras file may name this function: one of TensorFlow, or of tf_keras itself.

    A name of tf_keras is looked up in its registry; where a name is looked up in the module ``tensorflow``, it would
    mean another function, so ask :func:`is_pure_tensorflow_function` there.
    """
    return is_pure_tensorflow_function(name) or (isinstance(name, str) and name in KERAS2_FUNCTIONS)


def is_pure_class_method(class_name: object, method: object) -> bool:
    """Say whether a ``ClassMethod`` layer may call this: ``RaggedTensor``, ``from_row_splits``."""
    return isinstance(class_name, str) and isinstance(method, str) and (class_name, method) in CLASS_METHODS
