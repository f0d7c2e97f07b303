"""Hostile SavedModels."""

import functools
import os
import shutil
import tempfile
from pathlib import Path

from tests.safety.hostile_forms import Hostile, armed

SIGNATURE = "serving_default"


def saved(path, compute, resource=None):
    """Save a module, the signature of which is *compute* on a tensor of 4 columns, holding *resource*."""
    import tensorflow as tf

    class Module(tf.Module):
        def __init__(self):
            self.resource = resource
            self.weight = tf.Variable(2.0)

        @tf.function(input_signature=[tf.TensorSpec((None, 4), name="x")])
        def serve(self, x):
            used = [of_one_number(each) for each in tf.nest.flatten(compute(x)) if tf.is_tensor(each)]
            return {"y": x * self.weight + sum(used)}  # what nobody needs would be left out

    module = Module()
    tf.saved_model.save(module, str(path), signatures={SIGNATURE: module.serve})


def of_one_number(tensor):
    """Make one number of a tensor, for the sake of having to compute it."""
    import tensorflow as tf

    values = tf.strings.length(tensor) if tensor.dtype == tf.string else tensor
    return tf.reduce_sum(tf.cast(values, tf.float32))


@functools.cache
def honest_folder():
    """Save a module that harms nobody, once, and return its files by their paths within the folder."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "saved"
        saved(path, lambda x: x)
        return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def honest(path):
    """Write the module that harms nobody."""
    for name, content in honest_folder().items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)


def edited(path, edit):
    """Change the protocol buffer of a SavedModel in place."""
    from tensorflow.core.protobuf import saved_model_pb2

    proto = saved_model_pb2.SavedModel()
    proto.ParseFromString((path / "saved_model.pb").read_bytes())
    edit(proto)
    (path / "saved_model.pb").write_bytes(proto.SerializeToString())


def signature(name, compute, harm="creates", fires="call"):
    """Describe a SavedModel that does something when its signature is called."""
    return Hostile(name, "savedmodel", lambda path, trap: saved(path, lambda x: compute(x, trap)), fires, harm=harm)


def python_call(x, trap):
    """Create the trap's file in Python."""
    import tensorflow as tf

    return tf.py_function(lambda: trap.created.touch(), [], [])


def record(x, trap):
    """Write an event file."""
    import tensorflow as tf

    writer = tf.raw_ops.SummaryWriter()
    options = {"logdir": str(trap.created), "max_queue": 1, "flush_millis": 1, "filename_suffix": ".boom"}
    tf.raw_ops.CreateSummaryFileWriter(writer=writer, **options)
    tf.raw_ops.WriteScalarSummary(writer=writer, step=0, tag="x", value=tf.reduce_sum(x))


def raw(name, **options):
    """Make a computation of one raw operation; options are values, or functions of the trap."""

    def compute(_, trap):
        import tensorflow as tf

        values = {key: value(trap) if callable(value) else value for key, value in options.items()}
        return getattr(tf.raw_ops, name)(**values)

    return compute


def created(trap):
    """Give the path to create."""
    return str(trap.created)


def secret(trap):
    """Give the path to read."""
    return str(trap.secret)


def in_function(x, trap):
    """Write a file two functions deep."""
    import tensorflow as tf

    @tf.function
    def inner(y):
        if tf.reduce_sum(y) > 0:
            tf.io.write_file(str(trap.created), "boom")
        return y

    return inner(x)


def lines(_, trap):
    """Read a file as a data set."""
    import tensorflow as tf

    return tf.data.TextLineDataset(str(trap.secret)).reduce("", lambda a, b: a + b)


def signatures():
    """What can happen when a signature is called."""
    import tensorflow as tf

    steps = {
        "WriteFile": (raw("WriteFile", filename=created, contents="boom"), "creates"),
        "WriteFile in a branch of a function": (in_function, "creates"),
        "ReadFile": (raw("ReadFile", filename=secret), "reads"),
        "PrintV2 to a file": (
            raw("PrintV2", input="boom", output_stream=lambda t: f"file://{t.created}"),
            "creates",
        ),
        "ImmutableConst": (raw("ImmutableConst", dtype=tf.uint8, shape=[4], memory_region_name=secret), "reads"),
        "SaveV2": (
            raw(
                "SaveV2",
                prefix=created,
                tensor_names=["x"],
                shape_and_slices=[""],
                tensors=lambda _: [tf.constant(1.0)],
            ),
            "none",
        ),
        "RestoreV2": (
            raw("RestoreV2", prefix=secret, tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.float32]),
            "none",
        ),
        "MatchingFiles": (raw("MatchingFiles", pattern=lambda t: str(t.folder / "*")), "none"),
        "py_function": (python_call, "none"),
        "TextLineDataset": (lines, "reads"),
        "summary writer": (record, "creates"),
        "WholeFileReader": (whole_file, "reads"),
        "DebugIdentityV2": (
            lambda x, t: tf.raw_ops.DebugIdentityV2(
                input=x, tensor_debug_mode=2, debug_urls=[f"file://{t.created}"], tfdbg_run_id="boom"
            ),
            "creates",
        ),
        "DecodeProtoV2 with a descriptor file": (
            raw(
                "DecodeProtoV2",
                bytes=[b""],
                message_type="boom",
                field_names=[],
                output_types=[],
                descriptor_source=secret,
            ),
            "reads",
        ),
        "fills the memory": (lambda x, _: tf.fill((1 << 18, 1 << 18), tf.reduce_sum(x)), "fills"),
    }
    for name, (compute, harm) in steps.items():
        yield signature(name, compute, harm, "never" if harm == "none" else "call")


def whole_file(_, trap):
    """Read a file by a reader of the older kind."""
    import tensorflow as tf

    reader = tf.raw_ops.WholeFileReaderV2()
    queue = tf.raw_ops.FIFOQueueV2(component_types=[tf.string])
    tf.raw_ops.QueueEnqueueV2(handle=queue, components=[str(trap.secret)])
    return tf.raw_ops.ReaderReadV2(reader_handle=reader, queue_handle=queue)


def table(path, trap):
    """Save a module with a table of a vocabulary file, that is a link out of the folder."""
    import tensorflow as tf

    vocabulary = trap.folder / "words.txt"
    vocabulary.write_text("a\nb\n")
    keys = tf.lookup.TextFileInitializer(
        str(vocabulary), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
    )
    lookup = tf.lookup.StaticHashTable(keys, -1)
    saved(path, lambda x: lookup.lookup(tf.as_string(x)), lookup)
    vocabulary.unlink()


def linked_asset(path, trap):
    """Have an asset be a link out of the folder."""
    table(path, trap)
    (path / "assets" / "words.txt").unlink()
    (path / "assets" / "words.txt").symlink_to(trap.secret)


def climbing_asset(path, trap):
    """Name an asset above the folder."""
    table(path, trap)
    name = os.path.relpath(trap.secret, path / "assets")

    def edit(proto):
        for asset in proto.meta_graphs[0].asset_file_def:
            asset.filename = name

    edited(path, edit)


def constant_table(path, trap):
    """Have a table's initializer read a file of a constant name."""
    import tensorflow as tf

    class Table(tf.saved_model.experimental.TrackableResource):
        def _create_resource(self):
            return tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)

        def _initialize(self):
            if tf.inside_function():
                tf.raw_ops.InitializeTableFromTextFileV2(
                    table_handle=self.resource_handle,
                    filename=str(trap.secret),
                    key_index=-2,
                    value_index=-1,
                    vocab_size=-1,
                    delimiter="\t",
                )

    resource = Table()
    saved(
        path,
        lambda x: tf.raw_ops.LookupTableFindV2(
            table_handle=resource.resource_handle, keys=tf.as_string(x), default_value=tf.constant(0, tf.int64)
        ),
        resource,
    )


def initializer(path, trap):
    """Write a file while the model is loaded."""
    shutil.copytree(armed(trap), path)


def endless(path, _):
    """Count for ever while the model is loaded."""
    import tensorflow as tf

    class Counter(tf.saved_model.experimental.TrackableResource):
        def _create_resource(self):
            return tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[])

        def _initialize(self):
            if tf.inside_function():
                (last,) = tf.while_loop(lambda n: n >= 0.0, lambda n: n * 0.5 + 1.0, [tf.constant(1.0)])
                tf.raw_ops.AssignVariableOp(resource=self.resource_handle, value=last)

    saved(path, lambda x: x, Counter())


def restoring(path, trap):
    """Have the operation that restores the weights write a file."""
    honest(path)

    def edit(proto):
        graph = proto.meta_graphs[0].graph_def
        import tensorflow as tf

        for name, value in (("evil_name", str(trap.created)), ("evil_contents", "boom")):
            node = graph.node.add(name=name, op="Const")
            node.attr["dtype"].type = tf.string.as_datatype_enum
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
        graph.node.add(name="evil", op="WriteFile", input=["evil_name", "evil_contents"])
        proto.meta_graphs[0].saver_def.restore_op_name = "evil"

    edited(path, edit)


def second_graph(path, trap):
    """Hold a second graph, for another use, that writes a file."""
    restoring(path, trap)

    def edit(proto):
        second = proto.meta_graphs.add()
        second.CopyFrom(proto.meta_graphs[0])
        del second.meta_info_def.tags[:]
        second.meta_info_def.tags.append("train")
        honest_graph = type(proto)()
        honest_graph.ParseFromString(honest_folder()["saved_model.pb"])
        proto.meta_graphs[0].CopyFrom(honest_graph.meta_graphs[0])

    edited(path, edit)


def linked_weights(path, trap):
    """Have the weights be a link out of the folder."""
    honest(path)
    data = next((path / "variables").glob("*.data*"))
    data.unlink()
    data.symlink_to(trap.secret)


def linked_graph(path, trap):
    """Have the graph be a link out of the folder."""
    honest(path)
    outside = trap.folder / "graph.pb"
    shutil.move(path / "saved_model.pb", outside)
    (path / "saved_model.pb").symlink_to(outside)


def text_beside(path, trap):
    """Hold the graph as text too, the hostile one in the bytes."""
    from google.protobuf import text_format
    from tensorflow.core.protobuf import saved_model_pb2

    initializer(path, trap)
    proto = saved_model_pb2.SavedModel()
    proto.ParseFromString(honest_folder()["saved_model.pb"])
    (path / "saved_model.pbtxt").write_text(text_format.MessageToString(proto))


def huge_variable(path, _):
    """Claim a variable far larger than the file."""
    honest(path)

    def edit(proto):
        for node in proto.meta_graphs[0].object_graph_def.nodes:
            if node.HasField("variable"):
                del node.variable.shape.dim[:]
                node.variable.shape.dim.add(size=1 << 40)

    edited(path, edit)


def while_loading():
    """What can happen while the model is loaded."""
    steps = {
        "initializer that writes": (initializer, "load", "creates"),
        "initializer that never ends": (endless, "load", "hangs"),
        "table of a file outside": (constant_table, "load", "reads"),
        "asset that is a link": (linked_asset, "load", "reads"),
        "asset above the folder": (climbing_asset, "load", "reads"),
        "weights that are a link": (linked_weights, "load", "reads"),
        "graph that is a link": (linked_graph, "never", "none"),
        "restore operation that writes": (restoring, "never", "creates"),
        "second graph that writes": (second_graph, "never", "creates"),
        "initializer beside an honest text": (text_beside, "load", "creates"),
        "variable of 2**40 values": (huge_variable, "never", "fills"),
    }
    for name, (write, fires, harm) in steps.items():
        yield Hostile(name, "savedmodel", write, fires, harm, loads=write is linked_graph)


def files():
    """Give every hostile SavedModel."""
    yield from signatures()
    yield from while_loading()
