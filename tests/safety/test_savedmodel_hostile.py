"""SavedModels that reach outside themselves: each is refused, and nothing outside it is touched."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.models.saved_models import constant, edited, function_named, plain, save, serving, version1
from tfcompress.errors import UntrustedCodeError
from tfcompress.models.loading import load_model
from tfcompress.models.savedmodel import check_trusted
from tfcompress.models.signature import signature_of


def print_to(x, path):
    import tensorflow as tf

    tf.print(x, output_stream=f"file://{path}/new")


def numpy_function(x, path):
    import tensorflow as tf

    tf.numpy_function(lambda t: (path / "new").write_text("") and t, [x], tf.float32)


def lines_of(x, path):
    import tensorflow as tf

    return tf.data.TextLineDataset(f"{path}/secret").reduce(0, lambda count, _: count + 1)


def summary(x, path):
    import tensorflow as tf

    raw = tf.raw_ops
    writer = raw.SummaryWriter(shared_name="", container="")
    raw.CreateSummaryFileWriter(writer=writer, logdir=str(path), max_queue=1, flush_millis=1, filename_suffix="new")


def written(path):
    import tensorflow as tf

    tf.io.write_file(f"{path}/new", "something")


def read(x, path):
    import tensorflow as tf

    return tf.io.read_file(f"{path}/secret")


def matching(x, path):
    import tensorflow as tf

    return tf.io.matching_files(f"{path}/*")


def saved_to(x, path):
    import tensorflow as tf

    tf.raw_ops.SaveV2(prefix=f"{path}/new", tensor_names=["x"], shape_and_slices=[""], tensors=[x])


def restored_from(x, path):
    import tensorflow as tf

    return tf.raw_ops.RestoreV2(
        prefix=f"{path}/secret", tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.float32]
    )[0]


def merged(x, path):
    import tensorflow as tf

    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=[f"{path}/secret"], destination_prefix=f"{path}/new")


def sampled(x, path):
    import tensorflow as tf

    return tf.raw_ops.FixedUnigramCandidateSampler(
        true_classes=tf.cast(tf.reshape(x, (-1, 1)), tf.int64),
        num_true=1,
        num_sampled=1,
        unique=True,
        range_max=1,
        vocab_file=f"{path}/secret",
    ).sampled_candidates


def mapped(x, path):
    import tensorflow as tf

    return tf.raw_ops.ImmutableConst(dtype=tf.float32, shape=(1,), memory_region_name=f"{path}/secret")


def remapped(x, path):
    import tensorflow as tf

    return tf.raw_ops.LoadAndRemapMatrix(
        ckpt_path=f"{path}/secret",
        old_tensor_name="x",
        row_remapping=[0],
        col_remapping=[0],
        initializing_values=[],
        num_rows=1,
        num_cols=1,
    )


def whole_file(x, path):
    import tensorflow as tf

    raw = tf.raw_ops
    queue = raw.FIFOQueueV2(component_types=[tf.string])
    return raw.ReaderReadV2(reader_handle=raw.WholeFileReaderV2(), queue_handle=queue).value


def aborted(x, path):
    import tensorflow as tf

    tf.raw_ops.Abort(error_msg="ended", exit_without_error=False)


def configured(x, path):
    import tensorflow as tf

    tf.raw_ops.FileSystemSetConfiguration(scheme="", key="k", value="v")


def in_a_loop(x, path):
    import tensorflow as tf

    @tf.function
    def inner(t):
        if tf.reduce_sum(t) > 3:
            written(path)
        return t

    def step(i, t):
        return i + 1, tf.cond(i > 1, lambda: inner(t), lambda: t)

    return tf.while_loop(lambda i, _: i < 3, step, (tf.constant(0), x))[1]


def in_one_of_several(x, path):
    import tensorflow as tf

    def writing():
        written(path)
        return x

    return tf.switch_case(tf.cast(x[0, 0], tf.int32), [lambda: x, lambda: x + 1, writing])


def in_a_gradient(x, path):
    import tensorflow as tf

    @tf.custom_gradient
    def doubled(t):
        def gradient(upstream):
            written(path)
            return 2 * upstream

        return 2 * t, gradient

    return doubled(x)


BODIES = {
    "PrintV2": print_to,
    "PyFunc": numpy_function,
    "TextLineDataset": lines_of,
    "CreateSummaryFileWriter": summary,
    "WriteFile": lambda x, path: written(path),
    "ReadFile": read,
    "MatchingFiles": matching,
    "SaveV2 outside": saved_to,
    "RestoreV2 outside": restored_from,
    "MergeV2Checkpoints": merged,
    "FixedUnigramCandidateSampler": sampled,
    "ImmutableConst": mapped,
    "LoadAndRemapMatrix": remapped,
    "WholeFileReaderV2": whole_file,
    "Abort": aborted,
    "FileSystemSetConfiguration": configured,
}
NESTED = {"loop": in_a_loop, "switch": in_one_of_several, "gradient": in_a_gradient}


@pytest.fixture
def outside(tmp_path):
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text("secret\n")
    return folder


def refused(folder, outside, match):
    """Check that a SavedModel is refused by every way in, and that nothing outside has changed."""
    assert [each.name for each in outside.iterdir()] == ["secret"]
    for way in (load_model, signature_of):
        with pytest.raises(UntrustedCodeError, match=match) as caught:
            way(folder)
        assert "--trust" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert [each.name for each in outside.iterdir()] == ["secret"]
    return True


@pytest.mark.parametrize("operation", BODIES)
def test_an_operation_that_reaches_outside_is_refused(operation, outside, tmp_path):
    module = serving(lambda x: BODIES[operation](x, outside))
    assert refused(save(module, tmp_path / "saved"), outside, rf"operations that reach outside it \(.*{operation}")


@pytest.mark.parametrize("place", NESTED)
def test_it_is_found_wherever_it_is_nested(place, outside, tmp_path):
    folder = save(serving(lambda x: NESTED[place](x, outside)), tmp_path / "saved")
    assert refused(folder, outside, r"\(WriteFile\)")


def test_what_fills_a_resource_is_looked_at(outside, tmp_path):
    import tensorflow as tf

    class Resource(tf.saved_model.experimental.TrackableResource):
        def _create_resource(self):
            return tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[1])

        def _initialize(self):
            if not tf.executing_eagerly():
                written(outside)

    module = serving(lambda x: None)
    module.resource = Resource()
    assert module.resource.resource_handle is not None
    assert refused(save(module, tmp_path / "saved"), outside, r"\(WriteFile\)")


def test_a_table_of_a_text_file_is_refused(outside, tmp_path):
    import tensorflow as tf

    initializer = tf.lookup.TextFileInitializer(
        str(outside / "secret"),
        tf.string,
        tf.lookup.TextFileIndex.WHOLE_LINE,
        tf.int64,
        tf.lookup.TextFileIndex.LINE_NUMBER,
    )
    module = serving(lambda x: module.table.lookup(tf.as_string(x)))
    module.table = tf.lookup.StaticHashTable(initializer, -1)
    assert refused(save(module, tmp_path / "saved"), outside, r"\(InitializeTableFromTextFileV2\)")


@dataclass
class Edit:
    """A change to a SavedModel of TensorFlow 2 or 1, and what is said about it."""

    match: str
    change: Callable
    version: int = 2


def graph(saved):
    return saved.meta_graphs[0].graph_def


def write_node(nodes, path):
    """Add a node that writes a file."""
    constant(nodes.add(), "evil/name", f"{path}/new")
    constant(nodes.add(), "evil/contents", "something")
    node = nodes.add(name="evil", op="WriteFile")
    node.input.extend(["evil/name", "evil/contents"])


def unknown_operation(saved, path):
    graph(saved).node.add(name="evil", op="EvilCustomOp")


def second_meta_graph(saved, path):
    second = saved.meta_graphs.add()
    second.meta_info_def.tags.append("other")
    write_node(second.graph_def.node, path)


def uncalled_function(saved, path):
    function = graph(saved).library.function.add()
    function.signature.name = "uncalled"
    write_node(function.node_def, path)


def gradient_definition(saved, path):
    uncalled_function(saved, path)
    library = graph(saved).library
    names = [function.signature.name for function in library.function]
    called = next(name for name in names if "traced" not in name)  # none of the saver's, which are first at times
    library.gradient.add(function_name=called, gradient_func="uncalled")


def function_that_passes_for_an_operation(saved, path):
    graph(saved).library.function.add().signature.name = "WriteFile"
    write_node(graph(saved).node, path)


def restore_from_elsewhere(saved, path):
    function = function_named(saved, "traced_restore")
    constant(function.node_def.add(), "evil", f"{path}/secret")
    [restore] = [node for node in function.node_def if node.op == "RestoreV2"]
    restore.input[0] = "evil:output:0"


def restore_called_with_another_file(saved, path):
    constant(graph(saved).node.add(), "evil", f"{path}/secret")
    [call] = [node for node in graph(saved).node if "restore" in node.attr["f"].func.name]
    call.input[0] = "evil"


def restore_of_an_argument_that_is_not_the_file(saved, path):
    function = function_named(saved, "traced_restore")
    [restore] = [node for node in function.node_def if node.op == "RestoreV2"]
    restore.input[0] = function.signature.input_arg[1].name


def restore_that_writes(saved, path):
    write_node(graph(saved).node, path)
    saved.meta_graphs[0].saver_def.restore_op_name = "evil"


def restore_that_saves(saved, path):
    saver = saved.meta_graphs[0].saver_def
    saver.restore_op_name = saver.save_tensor_name.partition(":")[0]


def saver_in_the_object_graph(saved, path):
    function = function_named(saved, "traced_save")
    objects = saved.meta_graphs[0].object_graph_def
    objects.concrete_functions[function.signature.name].SetInParent()
    objects.nodes.add().bare_concrete_function.concrete_function_name = function.signature.name


def saver_that_stands_for_another_function(saved, path):
    for part in ("traced_save", "signature_wrapper"):
        function_named(saved, part).attr["api_implements"].s = b"the_same"


def saver_in_a_branch(saved, path):
    [call] = [node for node in graph(saved).node if "restore" in node.attr["f"].func.name]
    call.op = "If"
    call.attr["then_branch"].func.name = call.attr["else_branch"].func.name = call.attr["f"].func.name


def uncalled_saver(saved, path):
    uncalled = graph(saved).library.function.add()
    uncalled.CopyFrom(function_named(saved, "traced_save"))
    uncalled.signature.name = "uncalled"


def saver_in_a_list(saved, path):
    call = graph(saved).node.add(name="listed", op="StatelessCase")
    call.attr["branches"].list.func.add().name = function_named(saved, "traced_save").signature.name


def saver_that_a_signature_names(saved, path):
    signature = saved.meta_graphs[0].signature_def["serving_default"]
    signature.outputs["y"].name = saved.meta_graphs[0].saver_def.save_tensor_name


def without_saver(saved, path):
    saved.meta_graphs[0].ClearField("saver_def")


def foreign_class(saved, path):
    saved.meta_graphs[0].object_graph_def.nodes[0].registered_name = "Custom.Evil"


def foreign_saver(saved, path):
    saved.meta_graphs[0].object_graph_def.nodes[0].registered_saver = "Custom.Evil"


def asset_elsewhere(saved, path):
    saved.meta_graphs[0].asset_file_def.add(filename="../../outside/secret").tensor_info.name = "x:0"


def listed_asset_elsewhere(saved, path):
    from tensorflow.core.protobuf import meta_graph_pb2

    asset = meta_graph_pb2.AssetFileDef(filename=f"{path}/secret")
    saved.meta_graphs[0].collection_def["saved_model_assets"].any_list.value.add().Pack(asset)


def handle_of_somebody_else(saved, path):
    node = graph(saved).node.add(name="evil", op="Const")
    node.attr["dtype"].type = node.attr["value"].tensor.dtype = 20
    node.attr["value"].tensor.resource_handle_val.add(name="theirs", container="localhost")


def function_of_somebody_else(saved, path):
    call = graph(saved).node.add(name="evil", op="PartitionedCall")
    call.attr["f"].func.attr["inner"].func.name = "__inference_theirs_1"
    call.attr["f"].func.name = function_named(saved, "signature_wrapper").signature.name


def initializer_that_saves(saved, path):
    collection = saved.meta_graphs[0].collection_def["saved_model_main_op"]
    collection.node_list.value[:] = ["save/control_dependency"]


def restored_signature(saved, path):
    saved.meta_graphs[0].signature_def["serving_default"].outputs["y"].name = "save/RestoreV2:0"


def restored_initial_value(saved, path):
    from tensorflow.core.framework import variable_pb2

    variables = saved.meta_graphs[0].collection_def["variables"].bytes_list.value
    variable = variable_pb2.VariableDef.FromString(variables[0])
    variable.initializer_name = "save/AssignVariableOp"
    variables[0] = variable.SerializeToString()


def restored_from_a_constant(saved, path):
    constant(graph(saved).node.add(), "evil", f"{path}/secret")
    [restore] = [node for node in graph(saved).node if node.name == "save_1/RestoreV2"]
    restore.input[0] = "evil"


def file_that_is_computed(saved, path):
    saved.meta_graphs[0].saver_def.filename_tensor_name = "save_1/StringJoin:0"


SAVER = "operations that reach outside it .*outside the saver"
OTHER = r"operations that reach outside it .*RestoreV2 of another file"
EDITS = [
    Edit(r"\(EvilCustomOp\)", unknown_operation),
    Edit(r"\(WriteFile\)", second_meta_graph),
    Edit(r"\(WriteFile\)", uncalled_function),
    Edit(r"\(WriteFile\)", gradient_definition),
    Edit(r"\(WriteFile\)", function_that_passes_for_an_operation),
    Edit(OTHER, restore_from_elsewhere),
    Edit(OTHER, restore_called_with_another_file),
    Edit(OTHER, restore_of_an_argument_that_is_not_the_file),
    Edit("WriteFile", restore_that_writes),
    Edit("WriteFile", restore_that_writes, version=1),
    Edit(SAVER, restore_that_saves),
    Edit(SAVER, restore_that_saves, version=1),
    Edit(SAVER, saver_in_the_object_graph),
    Edit(SAVER, saver_that_stands_for_another_function),
    Edit(OTHER, saver_in_a_branch),
    Edit(SAVER, uncalled_saver),
    Edit(SAVER, saver_in_a_list),
    Edit(SAVER, saver_that_a_signature_names),
    Edit(SAVER, saver_that_a_signature_names, version=1),
    Edit(SAVER, without_saver),
    Edit(r"objects of classes outside it \(Custom\.Evil\)", foreign_class),
    Edit(r"objects of classes outside it \(Custom\.Evil\)", foreign_saver),
    Edit(r"assets outside it \(\.\./\.\./outside/secret\)", asset_elsewhere),
    Edit(r"assets outside it \(SECRET\)", listed_asset_elsewhere),
    Edit(r"\(Const of a resource\)", handle_of_somebody_else),
    Edit(r"\(PartitionedCall of __inference_theirs_1\)", function_of_somebody_else),
    Edit(SAVER, initializer_that_saves, version=1),
    Edit(SAVER, restored_signature, version=1),
    Edit(SAVER, restored_initial_value, version=1),
    Edit(OTHER, restored_from_a_constant, version=1),
    Edit(OTHER, file_that_is_computed, version=1),
]


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    import tensorflow as tf

    root = tmp_path_factory.mktemp("originals")
    return {2: plain(root / "2"), 1: version1(root / "1", init=lambda: tf.no_op(name="init_all"))}


@pytest.mark.parametrize("version", [1, 2])
def test_the_models_that_are_edited_are_taken_before(version, originals):
    assert load_model(originals[version]).writer == "savedmodel"


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: f"{edit.change.__name__}-{edit.version}")
def test_an_edited_graph_is_refused(edit, originals, outside, tmp_path):
    folder = shutil.copytree(originals[edit.version], tmp_path / "saved")
    with edited(folder) as saved:
        edit.change(saved, outside)
    secret = str(outside / "secret")
    shown = secret if len(secret) <= 80 else ascii(secret[:80])
    assert refused(folder, outside, edit.match.replace("SECRET", re.escape(shown)))


def test_links_that_lead_out_are_refused_before_they_are_read(originals, outside, tmp_path):
    folder = shutil.copytree(originals[2], tmp_path / "saved")
    (folder / "variables").rename(outside.parent / "moved")
    (folder / "variables").symlink_to(outside.parent / "moved")
    assert refused(folder, outside, r"links that lead outside it \(variables\)")
    assert load_model(folder, trust=True).writer == "savedmodel"


def test_links_that_stay_inside_are_taken(originals, tmp_path):
    folder = shutil.copytree(originals[2], tmp_path / "saved")
    (folder / "saved_model.pb").rename(folder / "graph")
    (folder / "saved_model.pb").symlink_to("graph")
    (tmp_path / "linked").symlink_to(folder)
    assert load_model(tmp_path / "linked").writer == "savedmodel"


def test_at_most_five_operations_are_named_and_strange_names_stay_in_the_line(originals, tmp_path):
    folder = shutil.copytree(originals[2], tmp_path / "saved")
    with edited(folder) as saved:
        for name in ("Evil\nError: none", *(f"Evil{number}" for number in range(7))):
            graph(saved).node.add(name=ascii(name), op=name)
    with pytest.raises(UntrustedCodeError, match=r"\('Evil\\nError: none', .*Evil3, and 3 more\); load it") as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


def test_trust_for_one_call_is_not_trust_for_the_next(originals, tmp_path):
    folder = shutil.copytree(originals[2], tmp_path / "saved")
    with edited(folder) as saved:
        foreign_class(saved, None)
    assert load_model(folder, trust=True).saved_model == folder
    assert signature_of(folder).outputs[0].name == "y"
    with pytest.raises(UntrustedCodeError, match="Custom"):
        load_model(folder)


CALLS = {"PartitionedCall": "f", "If": "then_branch", "While": "body", "StatelessCase": "branches"}


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_model_is_refused_exactly_if_one_of_its_operations_reaches_outside(tmp_path, data):
    from tensorflow.core.protobuf import saved_model_pb2

    operations = st.lists(st.sampled_from(["Add", "MatMul", "Relu", "HashTableV2", "WriteFile", "PyFunc"]), max_size=3)
    saved = saved_model_pb2.SavedModel()
    drawn = []
    for _ in range(data.draw(st.integers(1, 2))):
        definition = saved.meta_graphs.add().graph_def
        count = data.draw(st.integers(0, 5))
        for number in range(count + 1):
            nodes = definition.node
            if number < count:
                function = definition.library.function.add()
                function.signature.name, nodes = f"f{number}", function.node_def
            chosen = data.draw(operations)
            drawn += chosen
            for place, op in enumerate(chosen):
                nodes.add(name=f"n{place}", op=op)
            for callee in data.draw(st.sets(st.integers(0, number - 1), max_size=2)) if number else ():
                op = data.draw(st.sampled_from([*CALLS, f"f{callee}"]))
                call = nodes.add(name=f"c{callee}", op=op)
                if op == "StatelessCase":
                    call.attr["branches"].list.func.add().name = f"f{callee}"
                elif op in CALLS:
                    call.attr[CALLS[op]].func.name = f"f{callee}"
    (tmp_path / "saved_model.pb").write_bytes(saved.SerializeToString())
    reaching = sorted({"WriteFile", "PyFunc"}.intersection(drawn))
    if not reaching:
        check_trusted(tmp_path, trust=False)
        return
    with pytest.raises(UntrustedCodeError, match=rf"\({', '.join(reaching)}\)"):
        check_trusted(tmp_path, trust=False)
