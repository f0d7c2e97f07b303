"""Hostile configurations of tf_keras, in both its forms."""

import copy
import json

from tests.safety.hostile_forms import altered, armed, honest_model, keras_named, with_entry, with_layer

BOTH = ("keras2.keras", "keras2.h5")
X = ["x", 0, 0]
TEXT = {"TextVectorization": {"standardize": "lower", "split": "whitespace"}}
"""What the layer cannot be without."""


def layer(class_name, config, inbound=(), module="keras.layers", **entries):
    """Describe a layer and its calls."""
    name = config.setdefault("name", "hostile")
    described = {"module": module, "class_name": class_name, "config": config, "registered_name": None, "name": name}
    return described | {"inbound_nodes": list(inbound)} | entries


def part(described):
    """Describe a layer that is a part of another one: without a call."""
    return {key: value for key, value in described.items() if key not in ("name", "inbound_nodes")}


def on_tensor(**kwargs):
    """Describe a call on the model's input."""
    return [[[*X, kwargs]]]


def on_constant(value, **kwargs):
    """Describe a call on a constant: tf_keras makes it at once, while it builds the model."""
    return [["_CONSTANT_VALUE", -1, value, kwargs]]


def function(module, name, registered_name=None):
    """Describe a function by its name."""
    return {"module": module, "class_name": "function", "config": name, "registered_name": registered_name or name}


def op(symbol, value, class_name="TFOpLambda", **kwargs):
    """Describe a layer of one TensorFlow function, called on a constant."""
    return layer(class_name, {"function": symbol}, on_constant(value, **kwargs))


def class_method(symbol, method, *args, **kwargs):
    """Describe a layer of one method of a class, called on constants."""
    calls = [[["_CONSTANT_VALUE", -1, arg, {"kwargs": kwargs}] for arg in args]]
    return layer("ClassMethod", {"cls_symbol": symbol, "method_name": method}, calls)


def keras_operation(operation, *args, **kwargs):
    """Describe our own layer of one Keras 3 operation."""
    config = {"operation": operation, "template": [list(args), kwargs]}
    return layer("tfcompress>KerasOperation", config, on_tensor())


def python_layer(trap, **entries):
    """Describe a Lambda layer."""
    return layer("Lambda", trap.lambda2, on_tensor(), **entries)


def named_lambda(module, name, value):
    """Describe a Lambda layer of a function by its name, called on a constant."""
    config = {"function": function(module, name), "function_type": "function", "module": "builtins"}
    config |= {"output_shape": None, "output_shape_type": "raw", "output_shape_module": None, "arguments": {}}
    return layer("Lambda", config, [[["_CONSTANT_VALUE", -1, value, {}]]])


def model_with(described):
    """Return the JSON of a whole model with a layer in it."""
    config = json.loads(honest_model(keras_named("keras2")).to_json())
    config["config"]["layers"].append(described)
    return json.dumps(config)


def nested(inner, **entries):
    """Edit a configuration by nesting a model with a hostile layer in it."""

    def edit(config, trap):
        model = copy.deepcopy(config)
        model["config"]["name"] = "nested"
        model["config"]["layers"].append(inner(trap))
        called = {"module": "tf_keras.src.engine.functional", "registered_name": "Functional", "name": "nested"}
        extra = {key: make(trap) for key, make in entries.items()}
        config["config"]["layers"].append(model | called | {"inbound_nodes": on_tensor()} | extra)

    return edit


def honest_dense(_):
    """Describe a layer that harms nobody."""
    return layer("Dense", {"units": 2, "name": "harmless"}, on_tensor())


def tensorflow_functions():
    """TensorFlow functions that a layer may name."""
    steps = {
        "writes a file": (lambda t: op("io.write_file", str(t.created), contents="boom"), "creates"),
        "writes a file by its old name": (
            lambda t: op("compat.v1.write_file", str(t.created), contents="boom"),
            "creates",
        ),
        "reads a file by its old name": (lambda t: op("compat.v1.read_file", str(t.secret)), "reads"),
        "writes a file by a raw operation": (
            lambda t: op("raw_ops.WriteFile", str(t.created), contents="boom"),
            "none",
        ),
        "makes a folder": (lambda t: op("compat.v1.gfile.MakeDirs", str(t.created)), "creates"),
        "copies a file": (lambda t: op("compat.v1.gfile.Copy", str(t.secret), newpath=str(t.created)), "creates"),
        "opens a record file": (lambda t: op("compat.v1.python_io.TFRecordWriter", str(t.created)), "creates"),
        "prints to a file": (
            lambda t: op("print", "boom", output_stream=f"file://{t.created}"),
            "creates",
        ),
        "loads a model from JSON": (
            lambda t: op("keras.models.model_from_json", model_with(python_layer(t))),
            "creates",
        ),
        "loads another SavedModel": (lambda t: op("keras.models.load_model", str(armed(t))), "creates"),
        "loads another SavedModel by saved_model": (lambda t: op("saved_model.load", str(armed(t))), "creates"),
        "gets a file": (
            lambda t: (
                op("keras.utils.get_file", "created", origin=f"file://{t.secret}", cache_dir=str(t.folder))
                | {"config": {"function": "keras.utils.get_file", "name": "hostile"}}
            ),
            "reads",
        ),
        "loads a data set of any path": (
            lambda t: op("keras.datasets.boston_housing.load_data", str(t.secret)),
            "changes",
        ),
        "reads a resource": (lambda t: op("compat.v1.resource_loader.load_resource", str(t.secret)), "reads"),
        "reads an image": (lambda t: op("keras.utils.load_img", str(t.secret)), "reads"),
        "writes bytecode": (
            lambda t: op("mlir.experimental.write_bytecode", str(t.created), mlir_txt="module {}"),
            "creates",
        ),
        "loads a native library": (lambda t: op("lite.experimental.load_delegate", str(t.secret)), "reads"),
        "registers a file system": (
            lambda t: op("experimental.register_filesystem_plugin", str(t.secret)),
            "reads",
        ),
        "lists a folder": (lambda t: op("compat.v1.matching_files", str(t.folder / "*")), "none"),
        "reads a vocabulary": (
            lambda t: op("feature_column.categorical_column_with_vocabulary_file", "x", vocabulary_file=str(t.secret)),
            "reads",
        ),
        "imports a graph": (lambda _: op("graph_util.import_graph_def", "boom"), "none"),
        "starts a cluster": (lambda _: op("test.create_local_cluster", 1, num_ps=1), "none"),
        "maps over a function": (lambda _: op("map_fn", "boom", elems=[1]), "none"),
        "calls Python": (lambda _: op("numpy_function", "boom", inp=[1], Tout="float32"), "none"),
    }
    for name, (make, harm) in steps.items():
        yield altered(f"op {name}", "keras2.h5", with_layer(make), "never" if harm == "none" else "safe", harm=harm)
    steps["loads a model from JSON"] = (
        lambda t: op("keras.models.model_from_json", model_with(named_lambda("os", "system", t.command))),
        "creates",
    )
    for name in ("makes a folder", "copies a file", "loads a model from JSON"):
        make, harm = steps[name]
        yield altered(f"op {name}", "keras2.keras", with_layer(make), "safe", harm=harm)
    inner = nested(lambda t: op("compat.v1.gfile.MakeDirs", str(t.created)))
    yield altered("op in a nested model", "keras2.h5", inner, "safe")

    read = layer("TFOpLambda", {"function": "compat.v1.read_file"}, [["path", 0, 0, {}]])
    yield altered("op reads a file when called", "keras2.h5", with_path(read), "call", harm="reads")


def with_path(reading):
    """Edit a configuration by adding layers that give a path, and one that reads it, when the model is called."""

    def edit(config, trap):
        replaced = {"pattern": "^.*$", "rewrite": str(trap.secret)}
        config["config"]["layers"] += [
            layer("TFOpLambda", {"function": "strings.as_string", "name": "text"}, [[*X, {}]]),
            layer("TFOpLambda", {"function": "strings.reduce_join", "name": "joined"}, [["text", 0, 0, {}]]),
            layer("TFOpLambda", {"function": "strings.regex_replace", "name": "path"}, [["joined", 0, 0, replaced]]),
            reading,
        ]
        config["config"]["output_layers"] = [["last", 0, 0], [reading["name"], 0, 0]]

    return edit


def other_op_layers():
    """Layers of operations that name what they do under other keys."""
    steps = {
        "class method calls a function": (
            lambda t: class_method("io.write_file", "__call__", str(t.created), contents="boom"),
            "creates",
        ),
        "class method of a layer": (
            lambda t: class_method("keras.layers.Lambda", "from_config", t.lambda2),
            "none",
        ),
        "class method of a checkpoint": (
            lambda t: class_method("keras.callbacks.CSVLogger", "__call__", str(t.created)),
            "none",
        ),
        "class method of an event file": (
            lambda t: class_method("compat.v1.gfile.GFile", "__call__", str(t.created), mode="w"),
            "none",
        ),
        "class method copies a file": (
            lambda t: class_method("compat.v1.gfile.Copy", "__call__", str(t.secret), str(t.created)),
            "creates",
        ),
        "class method of globals": (lambda _: class_method("io.write_file", "__globals__", "os"), "none"),
        "instance method of a string": (
            lambda _: layer(
                "InstanceMethod", {"attr_name": "format"}, on_constant("{0.__class__}", args=["x"], kwargs={})
            ),
            "none",
        ),
        "instance property of a class": (
            lambda _: layer("InstanceProperty", {"attr_name": "__class__"}, on_constant("x")),
            "none",
        ),
        "slicing op makes a folder": (
            lambda t: op("compat.v1.gfile.MakeDirs", str(t.created), class_name="SlicingOpLambda"),
            "creates",
        ),
    }
    for name, (make, harm) in steps.items():
        yield altered(name, "keras2.h5", with_layer(make), "never" if harm == "none" else "safe", harm=harm)

    def node(op, constants, inbound, inputs):
        node_def = {"name": "hostile", "op": op, "input": inputs, "attr": {}}
        return layer("TensorFlowOpLayer", {"node_def": node_def, "constants": constants}, inbound)

    def writes(config, trap):
        with_path(node("WriteFile", {"0": str(trap.created)}, [[["path", 0, 0, {}]]], ["filename", "contents"]))(
            config, trap
        )

    for form in BOTH:
        reads = with_path(node("ReadFile", {}, [[["path", 0, 0, {}]]], ["filename"]))
        yield altered("op layer of a ReadFile node", form, reads, "call", harm="reads")
    yield altered("op layer of a WriteFile node", "keras2.h5", writes, "never")


def keras_operations():
    """Our own layer of one Keras 3 operation, with operations that it is not for."""
    lambda3 = {"module": "keras.layers", "class_name": "Lambda", "registered_name": None}
    steps = {
        "calls TFSMLayer": (
            lambda t: keras_operation(function("keras.layers", "TFSMLayer"), str(armed(t))),
            "creates",
        ),
        "loads a data set": (
            lambda _: keras_operation(function("keras.datasets.boston_housing", "load_data"), "anything"),
            "fetches",
        ),
        "opens a file": (lambda t: keras_operation(function("keras.saving", "KerasFileEditor"), str(t.link)), "reads"),
        "is our TensorFlow operation": (
            lambda t: keras_operation(
                {
                    "module": "tfcompress.models.keras3_layers",
                    "class_name": "TensorFlowOperation",
                    "registered_name": "tfcompress>TensorFlowOperation",
                    "config": {
                        "symbol": "compat.v1.gfile.MakeDirs",
                        "template": [[str(t.created)], {}],
                        "name": "inner",
                    },
                },
                {"__slot__": 0},
            ),
            "creates",
        ),
        "is a lambda": (
            lambda t: keras_operation(lambda3 | {"config": {"function": t.lambda3, "name": "inner"}}),
            "none",
        ),
        "is builtins exec": (lambda _: keras_operation(function("builtins", "exec"), "1"), "none"),
    }
    for name, (make, harm) in steps.items():
        fires = "never" if harm == "none" else "tfcompress"
        yield altered(f"keras operation {name}", "keras2.h5", with_layer(make), fires, harm=harm)
    make, harm = steps["calls TFSMLayer"]
    yield altered("keras operation by its registered name", "keras2.keras", with_layer(make), "never", harm=harm)

    def in_full(trap):
        described = make(trap) | {"class_name": "KerasOperation", "module": "tfcompress.models.keras2_layers"}
        return described | {"registered_name": "tfcompress>KerasOperation"}

    yield altered("keras operation in full", "keras2.keras", with_layer(in_full), "tfcompress", harm=harm)


def lambdas():
    """Python code in a file, and the places where it can hide."""

    def reshaped(wrapper, **options):
        def edit(config, trap):
            sequence = layer("Reshape", {"target_shape": [4, 1], "name": "sequence"}, on_tensor())
            inner = part(python_layer(trap))
            outer = layer(wrapper, {"layer": inner} | options, [[["sequence", 0, 0, {}]]])
            config["config"]["layers"] += [sequence, outer]

        return edit

    for form in BOTH:
        fires = "safe" if form.endswith(".h5") else "load"  # tf_keras has no safe mode for HDF5
        yield altered("lambda", form, with_layer(python_layer), fires)
        yield altered("lambda in a nested model", form, nested(python_layer), fires)
        yield altered("lambda in TimeDistributed", form, reshaped("TimeDistributed"), fires)
    yield altered("lambda in Bidirectional", "keras2.h5", reshaped("Bidirectional", merge_mode="sum"), "never")

    def in_cell(config, trap):
        sequence = layer("Reshape", {"target_shape": [4, 1], "name": "sequence"}, on_tensor())
        cell = part(python_layer(trap))
        config["config"]["layers"] += [sequence, layer("RNN", {"cell": cell}, [[["sequence", 0, 0, {}]]])]

    yield altered("lambda as a cell", "keras2.h5", in_cell, "never")
    in_wrapper = with_layer(
        lambda t: layer(
            "PruneLowMagnitude",
            {
                "layer": part(python_layer(t)),
                "pruning_schedule": {"class_name": "ConstantSparsity", "config": {"target_sparsity": 0.5}}
                | {"begin_step": 0},
            },
            on_tensor(),
            module="tensorflow_model_optimization.python.core.sparsity.keras.pruning_wrapper",
        )
    )
    yield altered("lambda in a pruning wrapper", "keras2.h5", in_wrapper, "never")
    activation = with_entry(lambda t: part(python_layer(t)), "activation")
    yield altered("lambda as activation", "keras2.h5", activation, "never")

    for form in BOTH:
        fires = "never" if form.endswith(".h5") else "safe"
        system = with_layer(lambda t: named_lambda("os", "system", t.command))
        yield altered("lambda layer of os system", form, system, fires)
    evil = with_layer(lambda _: named_lambda("evil_module", "boom", "x"))
    yield altered("lambda layer of an evil module", "keras2.keras", evil, "safe", harm="imports")
    code = with_layer(lambda t: named_lambda("builtins", "eval", f"__import__('os').mkdir({str(t.created)!r})"))
    yield altered("lambda layer of builtins eval", "keras2.keras", code, "safe")


def names():
    """Functions by their names, in the slots of layers."""

    def switched(trap):
        """Fetch eval by its name, in a slot that looks for built-in activations unless a registered name is given."""
        slot = function("builtins", "eval", registered_name="tfcompress>keras3_relu6")
        value = f"__import__('os').mkdir({str(trap.created)!r})"
        return layer("Activation", {"activation": slot}, [[["_CONSTANT_VALUE", -1, value, {}]]])

    for form, fires in (("keras2.keras", "tfcompress"), ("keras2.h5", "never")):
        yield altered("activation of builtins eval", form, with_layer(switched), fires)

    def raw(slot):
        return with_entry(lambda t: t.lambda3, slot)

    for slot in ("kernel_initializer", "kernel_regularizer", "dtype"):
        yield altered(f"raw lambda as {slot}", "keras2.keras", raw(slot), "never")

    def compiled(trap):
        return {"optimizer": "adam", "loss": trap.lambda3}

    yield altered(
        "lambda in a nested compile_config", "keras2.keras", nested(honest_dense, compile_config=compiled), "never"
    )


def modules():
    """Names of modules and of classes that are not what they seem."""

    def top(**entries):
        def edit(config, _):
            config |= entries

        return edit

    evil = {"module": "evil_module", "class_name": "Boom", "registered_name": "Boom"}
    yield altered("evil module at the top", "keras2.keras", top(**evil), "safe", harm="imports")
    like_keras = evil | {"module": "keras_evil"}
    yield altered("module that only begins like keras", "keras2.keras", top(**like_keras), "safe", harm="imports")
    dotted = {"module": "keras.src.utils.data_utils", "class_name": "os.system", "registered_name": None}
    yield altered("attribute of a module of keras", "keras2.keras", top(**dotted), "never", harm="imports")
    by_registered_name = {"module": "os", "class_name": "Functional", "registered_name": "system"}
    yield altered("os by its registered name", "keras2.keras", top(**by_registered_name), "never", harm="imports")

    def compiled(described):
        return nested(honest_dense, compile_config=lambda _: {"optimizer": "adam", "loss": described})

    loss = function("evil_module", "boom")
    yield altered("evil module in a nested compile_config", "keras2.keras", compiled(loss), "never", harm="imports")
    spec = {"class_name": "__typespec__", "spec_name": "Boom", "registered_name": None, "module": "evil_module"}
    yield altered("typespec of an evil module", "keras2.keras", top(**spec), "safe", harm="imports")
    metric = compiled({"module": "builtins", "class_name": "function", "config": "exec", "registered_name": None})
    yield altered("builtins exec in a nested compile_config", "keras2.keras", metric, "never")
    slot = function("evil_module", "boom", registered_name="tfcompress>keras3_relu6")
    activation = with_entry(lambda _: slot, "activation")
    yield altered("activation of an evil module", "keras2.keras", activation, "never", harm="imports")
    foreign = with_layer(lambda _: layer("Boom", {}, on_tensor(), module="evil_module", registered_name="Boom"))
    yield altered("layer of an evil module", "keras2.h5", foreign, "never", harm="imports")
    switched = with_layer(
        lambda _: layer(
            "KerasOperation", {}, on_tensor(), module="evil_module", registered_name="tfcompress>keras3_celu"
        )
    )
    yield altered("layer of an evil module by a registered name", "keras2.h5", switched, "never", harm="imports")


def wrappers():
    """Tfmot's wrappers, whose parts are looked up by name."""
    base = "tensorflow_model_optimization.python.core"

    def quantized(trap):
        evil = {"class_name": "Lambda", "config": trap.lambda2, "module": "keras.layers", "registered_name": None}
        config = {"layer": part(honest_dense(trap)), "quantize_config": evil, "step": 0}
        return layer("QuantizeWrapperV2", config, on_tensor(), module=f"{base}.quantization.keras.quantize_wrapper")

    def of_module(trap):
        evil = {"class_name": "Boom", "config": {}, "module": "evil_module", "registered_name": "QuantizeWrapperV2"}
        config = {"layer": part(honest_dense(trap)), "quantize_config": evil, "step": 0}
        return layer("QuantizeWrapperV2", config, on_tensor(), module=f"{base}.quantization.keras.quantize_wrapper")

    def pruned(trap):
        schedule = {"class_name": "PruningSummaries", "config": {"log_dir": str(trap.created)}}
        config = {"layer": part(honest_dense(trap)), "pruning_schedule": schedule}
        return layer("PruneLowMagnitude", config, on_tensor(), module=f"{base}.sparsity.keras.pruning_wrapper")

    yield altered("quantize wrapper with a lambda for its config", "keras2.h5", with_layer(quantized), "never")
    yield altered("quantize wrapper of an evil module", "keras2.h5", with_layer(of_module), "never", harm="imports")
    yield altered("pruning schedule of another kind", "keras2.h5", with_layer(pruned), "never")


def vocabularies():
    """Vocabularies that are paths."""
    for form in BOTH:
        for name in ("StringLookup", "IntegerLookup", "TextVectorization"):
            make = with_layer(lambda t, name=name: layer(name, {"vocabulary": str(t.secret)} | TEXT.get(name, {})))
            yield altered(f"{name} of a path", form, make, "safe", harm="reads")

    def column(trap):
        listed = {
            "class_name": "VocabularyFileCategoricalColumn",
            "config": {"key": "x", "vocabulary_file": str(trap.secret), "vocabulary_size": 1, "num_oov_buckets": 0}
            | {"default_value": -1, "dtype": "string", "file_format": None},
        }
        indicator = {"class_name": "IndicatorColumn", "config": {"categorical_column": listed}}
        config = {"feature_columns": [indicator], "partitioner": None}
        return layer("DenseFeatures", config, [{"x": ["words", 0, 0, {}]}])

    def columns(config, trap):
        words = layer("InputLayer", {"batch_input_shape": [None, 1], "dtype": "string", "name": "words"})
        config["config"]["layers"] += [words, column(trap)]

    yield altered("feature column of a vocabulary file", "keras2.h5", columns, "safe", harm="reads")


def sizes():
    """Models out of all proportion to their files."""
    layers = {
        "dense of 2**33 units": layer("Dense", {"units": 1 << 33}, on_tensor()),
        "embedding of 2**36 rows": layer("Embedding", {"input_dim": 1 << 36, "output_dim": 64}, on_tensor()),
    }
    for form in BOTH:
        for name, described in layers.items():
            yield altered(name, form, with_layer(lambda _, described=described: described), "load", harm="fills")
    upsampled = layer("RepeatVector", {"n": 1 << 30}, on_tensor())
    yield altered(
        "repeat of 2**30 rows", "keras2.h5", with_layer(lambda _: upsampled), "call", harm="fills", loads=True
    )


def hangs():
    """Graphs that take forever."""

    def wrong_index(config, _):
        config["config"]["layers"][2]["inbound_nodes"][0][0][1] = 7

    def in_nested(config, trap):
        nested(honest_dense)(config, trap)
        wrong_index(config["config"]["layers"][-1], trap)

    def cycle(config, _):
        for name, source in (("one", "two"), ("two", "one")):
            config["config"]["layers"].append(layer("Dense", {"units": 4, "name": name}, [[[source, 0, 0, {}]]]))

    def doubling(config, _):
        called = layer("Activation", {"activation": "relu", "name": "leaf"})
        for depth in range(40):
            source = f"x{depth}"
            start = layer("InputLayer", {"batch_input_shape": [None, 4], "dtype": "float32", "name": source})
            first = int(called["class_name"] == "Functional")  # a model's first node is the one it was built with
            calls = [[[[source, 0, 0, {}]]], [[[called["name"], first, 0, {}]]]]
            graph = {"layers": [start, called | {"inbound_nodes": [call[0] for call in calls]}]}
            graph |= {"input_layers": [[source, 0, 0]], "output_layers": [[called["name"], first + 1, 0]]}
            called = layer("Functional", {"name": f"level{depth}", "trainable": True} | graph)
        config["config"]["layers"].append(called | {"inbound_nodes": on_tensor()})

    def unfed(config, _):
        call = on_tensor(mask=["middle", 3, 0])
        config["config"]["layers"].append(layer("Dense", {"units": 4, "name": "unfed"}, call))

    for form in BOTH:
        yield altered("wrong node index", form, wrong_index, "safe", harm="hangs")
    yield altered("cycle of layers", "keras2.h5", cycle, "safe", harm="hangs")
    yield altered("models that call their inner model twice", "keras2.h5", doubling, "safe", harm="hangs")
    yield altered("wrong node index in a nested model", "keras2.h5", in_nested, "safe", harm="hangs")
    yield altered("wrong node index in a keyword argument", "keras2.h5", unfed, "safe", harm="hangs")


def files():
    """Give every hostile configuration of tf_keras."""
    kinds = (tensorflow_functions, other_op_layers, keras_operations, lambdas, names)
    for kind in (*kinds, modules, wrappers, vocabularies, sizes, hangs):
        yield from kind()
