"""Hostile configurations of Keras 3, in both its forms."""

import copy

from tests.safety.hostile_forms import altered, armed, with_entry, with_layer

BOTH = ("keras3.keras", "keras3.h5")
X = {"class_name": "__keras_tensor__", "config": {"shape": [None, 4], "dtype": "float32", "keras_history": ["x", 0, 0]}}
SEQUENCE = X | {"config": {"shape": [None, 4, 1], "dtype": "float32", "keras_history": ["sequence", 0, 0]}}


def layer(class_name, config, args=(X,), kwargs=None, module="keras.layers", **entries):
    """Describe a layer or operation and one call of it."""
    name = config.setdefault("name", "hostile")
    described = {"module": module, "class_name": class_name, "config": config, "registered_name": None, "name": name}
    return described | {"inbound_nodes": [{"args": list(args), "kwargs": kwargs or {}}]} | entries


def part(described):
    """Describe a layer that is a part of another one: without a call."""
    return {key: value for key, value in described.items() if key not in ("name", "inbound_nodes")}


def function(module, name):
    """Describe a function by its name."""
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def tensorflow_operation(symbol, *args, **kwargs):
    """Describe our own layer of one TensorFlow function."""
    return layer(
        "TensorFlowOperation",
        {"symbol": symbol, "template": [list(args), kwargs]},
        module="tfcompress.models.keras3_layers",
        registered_name="tfcompress>TensorFlowOperation",
    )


def switch(called, *operands):
    """Describe an operation that calls a function with the given arguments while it is loaded."""
    return layer("Switch", {}, args=(0, [called], *operands), module="keras.src.ops.core")


def python_layer(trap, **entries):
    """Describe a Lambda layer."""
    return layer("Lambda", {"function": trap.lambda3, "arguments": {}}, **entries)


def nested_model(config, inner, trap, **entries):
    """Describe a copy of the honest model with one more layer in it, called as a layer."""
    model = copy.deepcopy(config)
    model["config"]["name"] = "nested"
    model["config"]["layers"].append(inner(trap))
    called = {"module": "keras.src.models.functional", "registered_name": "Functional", "name": "nested"}
    return model | called | {"inbound_nodes": [{"args": [X], "kwargs": {}}]} | entries


def nested(inner, **entries):
    """Edit a configuration by nesting a model with a hostile layer in it."""

    def edit(config, trap):
        extra = {key: make(trap) for key, make in entries.items()}
        config["config"]["layers"].append(nested_model(config, inner, trap, **extra))

    return edit


def honest_dense(_):
    """Describe a layer that harms nobody."""
    return layer("Dense", {"units": 2, "name": "harmless"})


def wrapped(wrapper, **options):
    """Make a wrapper of a Lambda layer, called on a sequence."""

    def edit(config, trap):
        reshape = layer("Reshape", {"target_shape": [4, 1], "name": "sequence"})
        config["config"]["layers"].append(reshape)
        inner = part(python_layer(trap))
        config["config"]["layers"].append(layer(wrapper, {"layer": inner} | options, args=(SEQUENCE,)))

    return edit


def top_module(config, _):
    """Name another module for the model's own class."""
    config |= {"module": "evil_module", "class_name": "Boom", "registered_name": "Boom"}


def operations():
    """Our own layer of one TensorFlow function, with functions that it is not for."""
    steps = {
        "makes a folder": ("compat.v1.gfile.MakeDirs", lambda trap: [str(trap.created)], "creates"),
        "copies a file": ("compat.v1.gfile.Copy", lambda trap: [str(trap.secret), str(trap.created)], "creates"),
        "gfile of io": ("io.gfile.makedirs", lambda trap: [str(trap.created)], "creates"),
        "walks to os system": ("dtensor.python.config.os.system", lambda trap: [trap.command], "creates"),
        "walks to sys modules": (
            "compat.v1.flags.tf_decorator.inspect.importlib.import_module",
            lambda _: ["evil_module"],
            "imports",
        ),
        "walks to subprocess": (
            "dtensor.python.dtensor_device.np.f2py.subprocess.getoutput",
            lambda trap: [trap.command],
            "creates",
        ),
        "gets a file": (
            "keras.utils.get_file",
            lambda trap: (
                ["created", f"file://{trap.secret}", False, None, None, ".", "auto", False, "auto", str(trap.folder)]
            ),
            "creates",
        ),
        "opens a record file": ("compat.v1.python_io.TFRecordWriter", lambda trap: [str(trap.created)], "creates"),
        "reads by path": ("compat.v1.gfile.Glob", lambda trap: [str(trap.folder / "*")], "none"),
        "of private names": ("__internal__.tracking.AutoTrackable", lambda _: [], "none"),
        "of a dunder": ("io.write_file.__globals__.get", lambda _: ["os"], "none"),
    }
    for name, (symbol, args, harm) in steps.items():
        fires = "tfcompress" if harm != "none" and not symbol.startswith("io.") else "never"
        edit = with_layer(lambda trap, symbol=symbol, args=args: tensorflow_operation(symbol, *args(trap)))
        yield altered(f"operation {name}", "keras3.keras", edit, fires, harm=harm)
    system = with_layer(lambda trap: tensorflow_operation("dtensor.python.config.os.system", trap.command))
    yield altered("operation walks to os system", "keras3.h5", system, "tfcompress")

    def as_dense(trap):
        described = tensorflow_operation("compat.v1.gfile.MakeDirs", str(trap.created))
        return described | {"class_name": "Dense", "module": "keras.layers"}

    yield altered("operation under the class name Dense", "keras3.keras", with_layer(as_dense), "tfcompress")
    inner = nested(lambda trap: tensorflow_operation("compat.v1.gfile.MakeDirs", str(trap.created)))
    yield altered("operation in a nested model", "keras3.keras", inner, "tfcompress")

    def legacy(trap):
        described = tensorflow_operation("compat.v1.gfile.MakeDirs", str(trap.created))
        del described["module"]
        return described | {"class_name": "tfcompress>TensorFlowOperation"}

    yield altered("operation of the legacy kind", "keras3.keras", with_layer(legacy), "tfcompress")


def functions():
    """Functions of Keras as arguments of operations that call them while they are loaded."""
    boston = function("keras.datasets.boston_housing", "load_data")
    steps = {
        "loads a data set": (lambda _: switch(boston, "anything"), "fetches"),
        "loads a word index": (
            lambda _: switch(function("keras.datasets.imdb", "get_word_index"), "anything"),
            "fetches",
        ),
        "opens a file in the editor": (
            lambda trap: switch(function("keras.saving", "KerasFileEditor"), str(trap.link)),
            "reads",
        ),
        "takes TFSMLayer as a function": (
            lambda trap: switch(function("keras.layers", "TFSMLayer"), str(armed(trap))),
            "creates",
        ),
        "downloads a data set": (
            lambda _: layer(
                "Cond",
                {},
                args=(True, function("keras.datasets.mnist", "load_data"), function("keras.ops", "zeros")),
                module="keras.src.ops.core",
            ),
            "fetches",
        ),
    }
    for form in BOTH:
        for name, (make, harm) in steps.items():
            yield altered(f"switch {name}", form, with_layer(make), "safe", harm=harm)
    unsafe = function("keras.config", "enable_unsafe_deserialization")
    getter = function("keras.utils", "get_file")
    refused = {
        "switch turns safe mode off": lambda _: switch(unsafe),
        "cond turns safe mode off": lambda _: layer(
            "Cond", {}, args=(True, unsafe, unsafe), module="keras.src.ops.core"
        ),
        "switch gets a file": lambda trap: switch(getter, "created", f"file://{trap.secret}"),
        "map of builtins exec": lambda _: layer(
            "Map", {}, args=(function("builtins", "exec"), ["1"]), module="keras.src.ops.core"
        ),
        "scan of os system": lambda _: layer(
            "Scan", {}, args=(function("os", "system"), 0, [0]), module="keras.src.ops.core"
        ),
    }
    for name, make in refused.items():
        yield altered(name, "keras3.keras", with_layer(make), "never")
    operations = {
        "map": lambda trap: layer("Map", {}, args=(trap.lambda3, X), module="keras.src.ops.core"),
        "vectorized map": lambda trap: layer("VectorizedMap", {}, args=(trap.lambda3, X), module="keras.src.ops.core"),
        "while loop": lambda trap: layer(
            "WhileLoop", {}, args=(trap.lambda3, trap.lambda3, [X]), module="keras.src.ops.core"
        ),
    }
    for name, make in operations.items():
        fires = "load" if name == "map" else "never"
        yield altered(f"{name} of a lambda", "keras3.keras", with_layer(make), fires)
    named = {"function": function("keras.datasets.imdb", "get_word_index"), "arguments": {}}
    yield altered(
        "lambda layer of a named function", "keras3.keras", with_layer(lambda _: layer("Lambda", named)), "never"
    )


def lambdas():
    """Python code in a file, and the places where it can hide."""
    for form in BOTH:
        yield altered("lambda", form, with_layer(python_layer), "load")
        yield altered("lambda in a nested model", form, nested(python_layer), "load")
        yield altered("lambda in TimeDistributed", form, wrapped("TimeDistributed"), "load")
        as_activation = with_entry(lambda trap: part(python_layer(trap)), "activation")
        yield altered("lambda as activation", form, as_activation, "call")
    places = {
        "lambda without a module": lambda trap: {
            key: value for key, value in python_layer(trap).items() if key != "module"
        },
        "lambda by its inner module": lambda trap: python_layer(trap, module="keras.src.layers.core.lambda_layer"),
        "lambda as a keyword argument": lambda trap: layer(
            "MultiHeadAttention",
            {"num_heads": 1, "key_dim": 1},
            args=(X,),
            kwargs={"value": part(python_layer(trap))},
        ),
        "lambda as mask": lambda trap: layer(
            "Lambda", {"function": function("keras.ops", "abs"), "mask": trap.lambda3, "arguments": {}}
        ),
        "lambda as output shape": lambda trap: layer(
            "Lambda", {"function": function("keras.ops", "abs"), "output_shape": trap.lambda3, "arguments": {}}
        ),
    }
    fires = {"lambda as a keyword argument": "never", "lambda as mask": "never"}
    for name, make in places.items():
        yield altered(name, "keras3.keras", with_layer(make), fires.get(name, "load"))
    slots = ("kernel_initializer", "bias_initializer", "kernel_regularizer", "kernel_constraint", "dtype")
    for slot in slots:
        yield altered(f"raw lambda as {slot}", "keras3.keras", with_entry(lambda trap: trap.lambda3, slot), "never")

    def compiled(trap):
        return {"optimizer": "adam", "loss": trap.lambda3, "metrics": [trap.lambda3]}

    in_compile = nested(honest_dense, compile_config=compiled)
    yield altered("lambda in a nested compile_config", "keras3.keras", in_compile, "never")

    def in_build(config, trap):
        config["config"]["layers"][1]["build_config"] = {"input_shape": trap.lambda3}

    yield altered("lambda in a build_config", "keras3.keras", in_build, "never")

    def in_pipeline(trap):
        return layer("Pipeline", {"layers": [part(python_layer(trap))]})

    yield altered("lambda in a Pipeline", "keras3.keras", with_layer(in_pipeline), "load")


def modules():
    """Names of modules and of classes that are not what they seem."""
    named = {
        "evil module": ("evil_module", "Boom", "never"),
        "evil keras_hub": ("keras_hub", "Boom", "safe"),
        "builtins eval": ("builtins", "eval", "never"),
        "os system": ("os", "system", "never"),
        "file utilities": ("keras.src.utils.file_utils", "get_file", "never"),
        "a parent of keras": ("keras.src.backend.os", "system", "never"),
    }
    for name, (module, class_name, fires) in named.items():
        make = with_layer(
            lambda _, module=module, class_name=class_name: layer(
                class_name, {}, module=module, registered_name=class_name
            )
        )
        yield altered(f"layer of {name}", "keras3.keras", make, fires, harm="imports")
        slot = with_entry(lambda _, module=module, class_name=class_name: function(module, class_name), "activation")
        yield altered(f"activation of {name}", "keras3.keras", slot, fires, harm="imports")
    yield altered(
        "activation of evil keras_hub",
        "keras3.h5",
        with_entry(lambda _: function("keras_hub", "boom"), "activation"),
        "safe",
        harm="imports",
    )
    yield altered("evil module at the top", "keras3.keras", top_module, "never", harm="imports")

    def spec(_):
        described = {"class_name": "__typespec__", "spec_name": "Boom", "registered_name": "Boom", "config": []}
        return layer("Dense", {"units": 2}, kwargs={"training": described | {"module": "keras_hub"}})

    yield altered("typespec of evil keras_hub", "keras3.keras", with_layer(spec), "safe", harm="imports")
    foreign = {
        "TFSMLayer": lambda trap: layer(
            "TFSMLayer", {"filepath": str(armed(trap)), "call_endpoint": "serving_default"}
        ),
        "TorchModuleWrapper": lambda _: layer("TorchModuleWrapper", {"module": "gASVAAAAAAAAAA=="}),
        "JaxLayer": lambda trap: layer("JaxLayer", {"call_fn": trap.lambda3}),
        "FlaxLayer": lambda trap: layer("FlaxLayer", {"module": trap.lambda3}),
    }
    for name, make in foreign.items():
        yield altered(name, "keras3.keras", with_layer(make), "load" if name == "TFSMLayer" else "never")


def vocabularies():
    """Vocabularies that are paths."""
    options = {
        "StringLookup": {},
        "IntegerLookup": {},
        "TextVectorization": {"standardize": "lower", "split": "whitespace", "ngrams": None, "output_mode": "int"},
    }
    for form in BOTH:
        for name, more in options.items():
            make = with_layer(
                lambda t, name=name, more=more: layer(name, {"vocabulary": str(t.secret)} | more, args=())
            )
            yield altered(f"{name} of a path", form, make, "load", harm="reads")


def sizes():
    """Models out of all proportion to their files."""
    layers = {
        "dense of 2**33 units": layer("Dense", {"units": 1 << 33}),
        "embedding of 2**36 rows": layer("Embedding", {"input_dim": 1 << 36, "output_dim": 64}),
    }
    for form in BOTH:
        for name, described in layers.items():
            yield altered(name, form, with_layer(lambda _, described=described: described), "load", harm="fills")
    harmless = {
        "repeat of 2**40 rows": layer("RepeatVector", {"n": 1 << 40}),
        "input of 2**60 values": {
            "module": "keras.layers",
            "class_name": "InputLayer",
            "config": {"batch_shape": [None, 1 << 30, 1 << 30], "dtype": "float32", "name": "huge"},
            "registered_name": None,
            "name": "huge",
            "inbound_nodes": [],
        },
    }
    for name, described in harmless.items():
        edit = with_layer(lambda _, described=described: described)
        yield altered(name, "keras3.keras", edit, "call", harm="fills", loads=True)


def twice(inner, depth):
    """Describe a model that calls *inner* on what it gives."""
    name, source = f"level{depth}", f"x{depth}"
    tensor = {"shape": [None, None], "dtype": "float32"}
    tensors = [
        {"class_name": "__keras_tensor__", "config": tensor | {"keras_history": [each, 0, 0]}}
        for each in (source, inner["name"])
    ]
    start = {"module": "keras.layers", "class_name": "InputLayer", "registered_name": None, "name": source}
    start |= {"config": {"batch_shape": [None, None], "dtype": "float32", "name": source}, "inbound_nodes": []}
    calls = inner | {"inbound_nodes": [{"args": [each], "kwargs": {}} for each in tensors]}
    last = [inner["name"], 1 + (inner["class_name"] == "Functional"), 0]
    graph = {"layers": [start, calls], "input_layers": [[source, 0, 0]], "output_layers": [last]}
    model = {"module": "keras.src.models.functional", "class_name": "Functional", "registered_name": "Functional"}
    return model | {"name": name, "config": {"name": name, "trainable": True} | graph}


def hangs():
    """Graphs that take forever."""

    def doubling(config, _):
        called = {"module": "keras.layers", "class_name": "Activation", "registered_name": None}
        called |= {"config": {"activation": "relu", "name": "leaf"}, "name": "leaf"}
        for depth in range(40):
            called = twice(called, depth)
        config["config"]["layers"].append(called | {"inbound_nodes": [{"args": [X], "kwargs": {}}]})

    def cycle(config, _):
        one, two = copy.deepcopy(X), copy.deepcopy(X)
        one["config"]["keras_history"], two["config"]["keras_history"] = ["two", 0, 0], ["one", 0, 0]
        config["config"]["layers"].append(layer("Dense", {"units": 4, "name": "one"}, args=(one,)))
        config["config"]["layers"].append(layer("Dense", {"units": 4, "name": "two"}, args=(two,)))

    def deep(config, _):
        inner = part(layer("Dense", {"units": 2}))
        for depth in range(400):
            inner = {"module": "keras.layers", "class_name": "TimeDistributed", "registered_name": None} | {
                "config": {"layer": inner, "name": f"wrapper{depth}"}
            }
        config["config"]["layers"].append(inner | {"name": "deep", "inbound_nodes": []})

    yield altered("models that call their inner model twice", "keras3.keras", doubling, "safe", harm="hangs")
    for form in BOTH:
        yield altered("cycle of layers", form, cycle, "never", harm="hangs")
    yield altered("wrappers in wrappers", "keras3.keras", deep, "never", harm="hangs", loads=True)


def files():
    """Give every hostile configuration of Keras 3."""
    for kind in (operations, functions, lambdas, modules, vocabularies, sizes, hangs):
        yield from kind()
