import pytest

from tests.models import small_models
from tests.models.saved_models import operations
from tests.models.small_models import build
from tfcompress.models.savedmodel import check_trusted, saved_signature
from tfcompress.safety.graph_operations import FAMILIES, GRAPH_OPERATIONS, is_pure_graph_operation
from tfcompress.safety.saved_savers import SAVERS

REACHING = tuple(
    """
    Abort AudioSummary BatchFunction CSVDatasetV2 CalibrationStatisticsSaver CollectiveReduceV3 CreateSummaryFileWriter
    DebugIdentityV2 DebugNumericSummaryV2 DecodeCompressed DecodeProtoV2 DumpTensor EagerPyFunc EncodeProto
    FIFOQueueV2 FileSystemSetConfiguration FixedLengthRecordReaderV2 FixedUnigramCandidateSampler
    GenerateVocabRemapping ImmutableConst InitializeTableFromDataset InitializeTableFromTextFile
    InitializeTableFromTextFileV2 IteratorFromStringHandleV2 LMDBReader LoadAndRemapMatrix MatchingFiles
    MergeV2Checkpoints OneShotIterator ParseTensor Print PrintV2 PyFunc PyFuncStateless ReadFile RecordInput RemoteCall
    Restore RestoreSlice RestoreV2 RpcClient Save SaveSlices SaveV2 ShardedFilename Skipgram SnapshotDatasetV2
    SqlDataset TFRecordDatasetV2 TPUPartitionedCall TextLineDataset TextLineReaderV2 WholeFileReaderV2 WriteFile
    WriteSummary XlaCallModule XlaCustomCallV2 XlaLaunch _Recv _Send
    """.split()  # noqa: SIM905 - as a list, one name would take a line
)


def registered():
    """Return what is known of every operation of the TensorFlow at hand, by name."""
    import tensorflow as tf  # noqa: F401 - registers them
    from tensorflow.python.framework import op_def_registry

    return {name: op_def_registry.get(name) for name in GRAPH_OPERATIONS | SAVERS | set(REACHING)}


def test_every_name_in_the_table_is_an_operation_of_tensorflow():
    import tensorflow as tf

    unknown = {name for name, found in registered().items() if found is None}
    allowed = set() if tf.__version__ >= "2.21" else {name for name in unknown if "WebP" in name}
    assert unknown <= allowed


def test_no_name_is_in_two_families():
    assert sum(len(family.split()) for family in FAMILIES.values()) == len(GRAPH_OPERATIONS)


@pytest.mark.parametrize("name", REACHING)
def test_what_reaches_outside_is_not_in_the_table(name):
    assert not is_pure_graph_operation(name)


def test_no_operation_in_the_table_is_told_a_file_by_an_attribute():
    strings = {
        attribute.name
        for name, found in registered().items()
        if name in GRAPH_OPERATIONS and found is not None
        for attribute in found.attr
        if attribute.type in ("string", "list(string)") and not attribute.allowed_values.list.s
    }
    assert strings == TEXTS


TEXTS = set(
    """
    allowed_devices bad_indices_policy config config_proto container context_dense_keys context_sparse_keys dct_method
    debug_name dense_keys device_names dimension_numbers dst_format encoding equation executor_type
    feature_list_dense_keys feature_list_dense_missing_assumed_empty feature_list_sparse_keys field_delim fill fill_mode
    frame_name input_encoding input_order interpolation kernel_type left_pad message na_value noise padding pattern
    placeholder rewrite right_pad row_partition_types separator set_operation shared_name source sparse_keys src_format
    stack_name template tensor_array_name var_name xmp_metadata
    """.split()  # noqa: SIM905 - as above
)
"""What a text in an attribute of an operation of the table is: each was looked at. (``source`` is of a gradient.)"""


QUICK = (small_models.mlp, small_models.multi_io, small_models.raw_ops, small_models.tokens)


def marked(kind):
    return pytest.param(kind, marks=pytest.mark.slow if kind in QUICK else pytest.mark.networks)


def check_is_in_the_table(folder):
    assert operations(folder) - SAVERS <= GRAPH_OPERATIONS
    check_trusted(folder, trust=False)
    assert saved_signature(folder)[0].structured_outputs


@pytest.mark.parametrize("kind", list(map(marked, small_models.GRAPHS)))
def test_what_either_keras_writes_of_every_small_model_is_in_the_table(kind, keras_module, tmp_path):
    model = build(kind, keras_module)
    if keras_module.__name__ == "keras":
        model.export(tmp_path / "own", verbose=False)
    else:
        model.save(tmp_path / "own")
    check_is_in_the_table(tmp_path / "own")


PLAIN = [
    kind if kind is not small_models.tokens else pytest.param(kind, marks=pytest.mark.networks)  # traces for seconds
    for kind in QUICK
]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*PLAIN, *(marked(kind) for kind in small_models.GRAPHS if kind not in QUICK)])
def test_what_tensorflow_writes_of_every_small_model_of_keras_2_is_in_the_table(kind, tf_keras, tmp_path):
    import tensorflow as tf

    tf.saved_model.save(build(kind, tf_keras), str(tmp_path / "plain"))
    check_is_in_the_table(tmp_path / "plain")


@pytest.mark.networks
@pytest.mark.parametrize("name", ["MobileNetV3Small", "EfficientNetB0"])
def test_what_keras_writes_of_well_known_networks_is_in_the_table(name, keras, tmp_path):
    model = getattr(keras.applications, name)(weights=None, input_shape=(32, 32, 3), classes=3)
    model.export(tmp_path / "saved", verbose=False)
    assert operations(tmp_path / "saved") - SAVERS <= GRAPH_OPERATIONS
    check_trusted(tmp_path / "saved", trust=False)
