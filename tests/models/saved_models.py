"""SavedModels for tests: small ones, of TensorFlow 2 and of TensorFlow 1, and edits of what is written of them."""

from contextlib import contextmanager


def serving(body):
    """Return a module whose signature runs ``body(x)`` on a (None, 1) float tensor and gives x back."""
    import tensorflow as tf

    class Serving(tf.Module):
        def __init__(self):
            super().__init__()
            self.scale = tf.Variable([2.0])

        @tf.function(input_signature=[tf.TensorSpec((None, 1), tf.float32, name="x")])
        def serve(self, x):
            with tf.control_dependencies([each for each in [body(x)] if each is not None]):
                return {"y": x * self.scale}

    return Serving()


def save(module, folder):
    """Save a module with its function ``serve`` as the signature."""
    import tensorflow as tf

    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
    return folder


def plain(folder):
    """Save a model of TensorFlow 2 that reaches nowhere: 2 x."""
    return save(serving(lambda x: None), folder)


def version1(folder, extra=lambda: None, init=None):
    """Save a graph of TensorFlow 1: 2 x + 2 x, a variable of each kind, and a saver that training left behind."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, (None, 1), name="x")
        resource = v1.get_variable("resource", initializer=[[2.0]], use_resource=True)
        reference = v1.get_variable("reference", initializer=[[2.0]], use_resource=False)
        y = tf.add(x @ resource, x @ reference, name="y")
        extra()
        session.run(v1.global_variables_initializer())
        v1.train.Saver()
        builder = v1.saved_model.Builder(str(folder))
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": y})
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": signature}, main_op=init() if init else None
        )
        builder.save()
    return folder


@contextmanager
def edited(folder):
    """Give the ``SavedModel`` in a folder, and write it back."""
    from tensorflow.core.protobuf import saved_model_pb2

    path = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString(path.read_bytes())
    yield saved
    path.write_bytes(saved.SerializeToString())


def operations(folder):
    """Return every operation in a SavedModel's graphs and functions, but calls of functions by their names."""
    found = set()
    with edited(folder) as saved:
        for graph in (meta.graph_def for meta in saved.meta_graphs):
            found |= {node.op for node in graph.node}
            for function in graph.library.function:
                found |= {node.op for node in function.node_def}
            found -= {function.signature.name for function in graph.library.function}
    return found


def function_named(saved, part):
    """Return the one function of the first graph whose name has a part."""
    [found] = [f for f in saved.meta_graphs[0].graph_def.library.function if part in f.signature.name]
    return found


def constant(node, name, value):
    """Make *node* a constant string."""
    import tensorflow as tf

    node.name, node.op = name, "Const"
    node.attr["dtype"].type = tf.string.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    return node
