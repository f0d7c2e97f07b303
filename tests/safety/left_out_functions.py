"""What the tables of pure functions leave out, and why: a name that is in neither shows what a new release brought."""


def _named(names):
    return frozenset(names.split())


LEFT_OUT_FUNCTIONS = {
    "": {
        "takes a Python function": _named(
            """
            case cond custom_gradient foldl foldr function grad_pass_through map_fn nondifferentiable_batch_function
            no_gradient numpy_function py_function recompute_grad scan switch_case vectorized_map while_loop
            """
        ),
        "checks or prints, for no result": _named(
            "Assert assert_equal assert_greater assert_less assert_rank check_pinned print"
        ),
        "reads or sets what is around it": _named(
            """
            control_dependencies device executing_eagerly get_current_name_scope get_logger init_scope inside_function
            register_tensor_conversion_function timestamp variable_creator_scope
            """
        ),
        "loads code or graphs": _named("import_graph_def load_library load_op_library"),
        "gives no tensor": _named(
            """
            as_dtype broadcast_static_shape get_static_value group is_symbolic_tensor is_tensor make_ndarray
            make_tensor_proto no_op tuple type_spec_from_value
            """
        ),
        "differentiates the graph around it": _named("gradients hessians"),
        "an operation of TensorFlow's own machinery, exported under no family": _named(
            """
            approx_top_k conv conv2d_backprop_filter_v2 conv2d_backprop_input_v2 ragged_fill_empty_rows
            ragged_fill_empty_rows_grad
            """
        ),
    },
    "bitwise": {},
    "image": {
        "reads or writes an image format": _named(
            """
            adjust_jpeg_quality decode_and_crop_jpeg decode_bmp decode_gif decode_image decode_jpeg decode_jxl
            decode_png decode_webp encode_jpeg encode_png extract_jpeg_shape is_jpeg random_jpeg_quality
            stateless_random_jpeg_quality
            """
        )
    },
    "linalg": {},
    "math": {},
    "nn": {
        "takes an operation": _named("with_space_to_batch"),
        "reads a vocabulary file": _named("fixed_unigram_candidate_sampler"),
        "learns from what it is given": _named("learned_unigram_candidate_sampler"),
        "asks the strategy of distribution": _named("compute_average_loss scale_regularization_loss"),
    },
    "quantization": {},
    "ragged": {"takes a Python function": _named("map_flat_values")},
    "random": {
        "makes, gives or sets a generator": _named(
            "create_rng_state get_global_generator set_global_generator set_seed"
        ),
        "reads a vocabulary file": _named("fixed_unigram_candidate_sampler"),
        "learns from what it is given": _named("learned_unigram_candidate_sampler"),
    },
    "sets": {},
    "signal": {"gives a Python function": _named("inverse_stft_window_fn")},
    "sparse": {"takes a Python function": _named("map_values")},
    "strings": {},
}
"""Namespace of TensorFlow -> reason -> names of public functions that are not in the table."""

LEFT_OUT_KERAS2 = {
    "keras.activations": {"finds or describes a function": _named("deserialize get serialize")},
    "keras.backend": {
        "takes a Python function": _named("foldl foldr function in_test_phase in_train_phase map_fn rnn switch"),
        "makes or changes a variable": _named(
            """
            batch_set_value eye moving_average_update ones ones_like placeholder random_normal_variable
            random_uniform_variable set_value update update_add update_sub variable zeros zeros_like
            """
        ),
        "reads or sets what is around it": _named(
            """
            backend clear_session epsilon floatx get_uid image_data_format learning_phase learning_phase_scope
            manual_variable_initialization name_scope reset_uids set_epsilon set_floatx set_image_data_format
            set_learning_phase
            """
        ),
        "gives no tensor": _named(
            "batch_get_value count_params dtype eval get_value int_shape is_keras_tensor is_sparse ndim"
        ),
        "prints": _named("print_tensor"),
        "differentiates the graph around it": _named("gradients"),
    },
    "keras.losses": {"finds or describes a function": _named("deserialize get serialize")},
    "keras.metrics": {"finds or describes a function": _named("deserialize get serialize")},
}
"""Namespace of tf_keras -> reason -> names of public functions that are not in the table."""

FUNCTION_OPERATIONS = {
    "takes a Python function": _named("AssociativeScan Cond ForiLoop JVP Map Scan Switch VectorizedMap WhileLoop"),
    "is a graph of other operations": _named("Function"),
    "is only what others are derived from": _named("Operation SegmentReduction"),
    "gives no tensor": _named("Ndim"),
}
"""Reason -> classes of Keras 3's operations that are not in the table."""

DANGEROUS_FUNCTIONS = _named(
    """
    Assert audio.decode_wav autograph.to_code case compat.v1.Print compat.v1.assign compat.v1.cond
    compat.v1.get_variable compat.v1.gfile.Open compat.v1.gfile.Remove compat.v1.keras.backend.set_session
    compat.v1.losses.add_loss compat.v1.map_fn compat.v1.math.add compat.v1.nn.dynamic_rnn compat.v1.nn.raw_rnn
    compat.v1.placeholder compat.v1.py_func compat.v1.read_file compat.v1.scatter_update compat.v1.set_random_seed
    compat.v1.while_loop compat.v1.write_file cond config.set_visible_devices control_dependencies custom_gradient
    data.Dataset.from_generator data.TFRecordDataset debugging.assert_equal debugging.enable_check_numerics device
    distribute.get_strategy experimental.dispatch_for_api experimental.numpy.experimental_enable_numpy_behavior
    experimental.numpy.save feature_column.categorical_column_with_vocabulary_file foldl foldr function
    grad_pass_through gradients image.decode_jpeg image.decode_png import_graph_def io.decode_raw io.gfile.copy
    io.gfile.glob io.gfile.remove io.gfile.rmtree io.matching_files io.parse_tensor io.read_file io.write_file
    keras.activations.deserialize keras.activations.get keras.applications.ResNet50 keras.backend.eval
    keras.backend.foldl keras.backend.foldr keras.backend.function keras.backend.get_value keras.backend.gradients
    keras.backend.map_fn keras.backend.print_tensor keras.backend.rnn keras.backend.set_floatx
    keras.backend.set_learning_phase keras.backend.set_value keras.backend.switch keras.backend.update
    keras.backend.variable keras.backend.zeros keras.config.enable_unsafe_deserialization
    keras.__internal__.enable_unsafe_deserialization keras.datasets.mnist.load_data keras.layers.deserialize
    keras.losses.deserialize keras.losses.get keras.models.load_model keras.models.model_from_json
    keras.preprocessing.image.load_img keras.preprocessing.image.save_img keras.saving.deserialize_keras_object
    keras.saving.load_model keras.utils.get_file keras.utils.plot_model keras.utils.save_img
    keras.utils.set_random_seed load_library load_op_library lookup.TextFileInitializer map_fn
    mlir.experimental.write_bytecode nest.map_structure nn.experimental.general_dropout
    nn.fixed_unigram_candidate_sampler nn.with_space_to_batch no_gradient numpy_function print
    profiler.experimental.start py_function queue.FIFOQueue ragged.map_flat_values random.set_global_generator
    random.set_seed raw_ops.EagerPyFunc raw_ops.PyFunc raw_ops.ReadFile raw_ops.Restore raw_ops.SaveV2
    raw_ops.WriteFile recompute_grad register_tensor_conversion_function rpc_server saved_model.load saved_model.save
    scan sparse.map_values summary.create_file_writer summary.write switch_case sysconfig.get_lib
    test.compute_gradient timestamp train.Checkpoint train.load_checkpoint variable_creator_scope vectorized_map
    while_loop xla_custom_call xla_launch
    """
)
"""Names that reach out of a model in one way or another, whether or not there is such a function today."""

DANGEROUS_OPERATIONS = (
    ("builtins", "eval"),
    ("keras.src.ops.core", "Map"),
    ("keras.src.ops.core", "Scan"),
    ("keras.src.ops.core", "WhileLoop"),
    ("keras.src.ops.function", "Function"),
    ("keras.src.ops.linalg", "JVP"),
    ("keras.src.ops.numpy", "vectorize"),
    ("keras.src.ops.numpy", "np"),
    ("keras.src.ops.numpy", "Operation"),
    ("keras.src.ops", "Add"),
    ("keras.src.saving", "Add"),
    ("keras.src.utils.numerical_utils", "Add"),
    ("numpy", "Add"),
    ("os", "Add"),
    (None, "Add"),
    (["keras.src.ops.numpy"], "Add"),
    ("keras.src.ops.numpy", ["Add"]),
    ("keras.src.ops.numpy", None),
)
"""Modules and classes, which of them a file could name and get more than arithmetic, or nothing of Keras's."""
