import functools
import importlib
import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.safety.left_out_functions import (
    DANGEROUS_FUNCTIONS,
    DANGEROUS_OPERATIONS,
    FUNCTION_OPERATIONS,
    LEFT_OUT_FUNCTIONS,
    LEFT_OUT_KERAS2,
)
from tfcompress.safety.pure_functions import (
    CLASS_METHODS,
    INSTANCE_METHODS,
    INSTANCE_PROPERTIES,
    TENSORFLOW_FUNCTIONS,
    V1_NAMES,
    V1_PREFIX,
    WINDOWED,
    is_pure_class_method,
    is_pure_function,
    is_pure_tensorflow_function,
)
from tfcompress.safety.pure_keras import (
    KERAS2_FUNCTIONS,
    KERAS3_OPERATIONS,
    OLDER_OPERATIONS,
    OPERATION_MODULES,
    is_pure_operation,
    is_pure_operation_class,
)

NAMES = sorted(TENSORFLOW_FUNCTIONS | KERAS2_FUNCTIONS)

CAPITALS = {name for name in NAMES if sum(name.lower() == other.lower() for other in NAMES) > 1}
"""``keras.losses.KLD`` and ``kld``, and the like: the only names that differ in capitals alone."""

TAKES_A_FUNCTION = {"body", "callable", "cell", "cond", "f", "fn", "fun", "func", "function", "loop_body", "op"}
"""Names of parameters that take a Python function; so do those that end in ``_fn`` and the like."""
TAKES_A_FILE = {"file", "filename", "output_stream", "path"}

ALIKE = str.maketrans({"a": "а", "c": "с", "e": "е", "o": "о", "p": "р", ".": "．", "s": "ѕ", "_": "＿"})  # noqa: RUF001
"""Latin letters -> others that look the same."""


@pytest.fixture(scope="module")
def registry():
    """Return what tf_keras finds a function by, with tf_keras's own in it."""
    importlib.import_module("tensorflow")
    importlib.import_module("tf_keras")
    return importlib.import_module("tensorflow.python.util.tf_export")


def undecorated(function):
    return importlib.import_module("tensorflow.python.util.tf_decorator").unwrap(function)[1]


def parameters(function):
    return inspect.signature(undecorated(function)).parameters.values()


def suspicious(parameter):
    """Say whether a parameter takes a function or a file, by its name or annotation."""
    name = parameter.name
    return (
        name in TAKES_A_FUNCTION | TAKES_A_FILE
        or name.endswith(("_fn", "_fun", "_func", "_function", "_file", "_path"))
        or "Callable" in str(parameter.annotation)
    )


def operation_modules():
    for name in sorted(OPERATION_MODULES):
        try:
            yield importlib.import_module(name)
        except ModuleNotFoundError:
            assert name == "keras.src.ops.einops"


def operation_classes(keras):
    """Return every operation of Keras 3 that is no layer: pairs of name and class."""
    return [
        (name, value)
        for module in operation_modules()
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, keras.Operation) and not issubclass(value, keras.layers.Layer)
    ]


def public_functions(namespace):
    tf = importlib.import_module("tensorflow")
    module = getattr(tf, namespace) if namespace else tf
    return {name for name in dir(module) if not name.startswith("_") and inspect.isroutine(getattr(module, name))}


def left_out(reasons):
    return frozenset().union(*reasons.values())


def test_every_function_of_the_table_is_one_that_tf_keras_finds(registry):
    found = {name: registry.get_symbol_from_name(name) for name in NAMES}
    assert [name for name, function in found.items() if not inspect.isroutine(function)] == []


def test_every_tensorflow_function_of_the_table_is_the_one_of_that_name_in_the_module(registry):
    tf = importlib.import_module("tensorflow")
    for name in sorted(TENSORFLOW_FUNCTIONS):
        function = functools.reduce(getattr, name.split("."), tf)
        assert undecorated(function) is undecorated(registry.get_symbol_from_name(name)), name


def test_the_name_under_which_tf_keras_writes_a_function_of_the_table_is_in_it(registry):
    def written(function):
        by = functools.partial(registry.get_canonical_name_for_symbol, function, add_prefix_to_v1_names=True)
        return by() or by(api_name="keras")

    assert {written(registry.get_symbol_from_name(name)) for name in NAMES} <= set(NAMES)


def test_no_function_of_the_table_takes_a_function_or_a_file(registry):
    taken = [
        (name, parameter.name)
        for name in sorted(set(NAMES) - WINDOWED)
        for parameter in parameters(registry.get_symbol_from_name(name))
        if suspicious(parameter)
    ]
    assert taken == []


def test_no_function_of_the_table_is_documented_to_take_a_function(registry):
    documented = {name: (registry.get_symbol_from_name(name).__doc__ or "").lower() for name in NAMES}
    signs = ("callable", "a function that", "python function", "filename", "file path")
    assert {name for name, text in documented.items() if any(sign in text for sign in signs)} <= WINDOWED


def test_what_may_be_given_a_window_as_a_function_needs_none(registry):
    for name in WINDOWED:
        found = [each for each in parameters(registry.get_symbol_from_name(name)) if suspicious(each)]
        assert [(each.name, each.default is inspect.Parameter.empty) for each in found] == [("window_fn", False)]


@pytest.mark.parametrize("name", ["map_fn", "signal.stft", "nn.fixed_unigram_candidate_sampler", "keras.backend.rnn"])
def test_the_checks_see_a_function_that_takes_one(registry, name):
    assert any(map(suspicious, parameters(registry.get_symbol_from_name(name))))


@pytest.mark.parametrize("namespace", LEFT_OUT_FUNCTIONS)
def test_every_public_function_of_tensorflow_is_in_the_table_or_left_out_for_a_reason(namespace):
    prefix = f"{namespace}." if namespace else ""
    functions = public_functions(namespace)
    in_table = {name for name in functions if is_pure_tensorflow_function(prefix + name)}
    refused = left_out(LEFT_OUT_FUNCTIONS[namespace])
    assert functions - in_table - refused == set()
    assert in_table & refused == set()


@pytest.mark.parametrize("namespace", LEFT_OUT_KERAS2)
def test_every_function_of_tf_keras_is_in_the_table_or_left_out_for_a_reason(namespace, registry):
    found = registry._NAME_TO_SYMBOL_MAPPING.items()
    functions = {n.rpartition(".")[2] for n, f in found if n.rpartition(".")[0] == namespace and inspect.isroutine(f)}
    in_table = {name for name in functions if is_pure_function(f"{namespace}.{name}")}
    assert len(in_table) >= 10
    assert functions - in_table == left_out(LEFT_OUT_KERAS2[namespace])


def test_every_operation_of_keras_is_in_the_table_or_left_out_for_a_reason(keras):
    classes = {cls.__name__ for _, cls in operation_classes(keras)}
    refused = left_out(FUNCTION_OPERATIONS)
    assert classes - KERAS3_OPERATIONS - refused == set()
    assert KERAS3_OPERATIONS & refused == set()


def test_every_operation_of_the_table_is_one_class_of_keras(keras):
    found = {}
    for name, cls in operation_classes(keras):
        found.setdefault(name, set()).add(cls)
    assert {name: classes for name, classes in found.items() if len(classes) > 1} == {}
    if tuple(map(int, keras.__version__.split(".")[:2])) >= (3, 15):  # older ones have not all of them yet
        assert KERAS3_OPERATIONS - set(found) == OLDER_OPERATIONS


def test_no_module_of_operations_has_something_else_under_the_name_of_one(keras):
    found = [
        (module.__name__, name) for module in operation_modules() for name in vars(module) if name in KERAS3_OPERATIONS
    ]
    operations = {(cls.__module__, name) for name, cls in operation_classes(keras)}
    assert len(found) > 250
    assert [pair for pair in found if pair not in operations] == []


def test_no_operation_of_the_table_takes_a_function(keras):
    taken = [
        (name, parameter.name)
        for name, cls in operation_classes(keras)
        if is_pure_operation_class(name)
        for method in (cls.__init__, cls.call)
        for parameter in inspect.signature(method).parameters.values()
        if suspicious(parameter)
    ]
    assert taken == []


def test_the_attributes_are_those_that_tf_keras_gives_to_its_tensors(tf_keras):
    tensors = importlib.import_module("tf_keras.src.engine.keras_tensor")
    classes = (tensors.RaggedKerasTensor, tensors.SparseKerasTensor)
    for attribute in INSTANCE_PROPERTIES:
        assert any(isinstance(vars(cls).get(attribute), property) for cls in classes), attribute
    for attribute in INSTANCE_METHODS:
        assert any(inspect.isfunction(vars(cls).get(attribute)) for cls in classes), attribute


def test_the_class_methods_are_those_of_tensorflows_ragged_tensor(registry):
    for cls, method in CLASS_METHODS:
        assert inspect.ismethod(getattr(registry.get_symbol_from_name(cls), method))
        assert is_pure_class_method(cls, method)
    for cls, method in (("RaggedTensor", "__init__"), ("Variable", "from_tensor"), ("RaggedTensor", ["from_tensor"])):
        assert not is_pure_class_method(cls, method)


@pytest.mark.parametrize("name", sorted(DANGEROUS_FUNCTIONS))
def test_what_reaches_out_of_a_model_is_refused(name):
    assert not is_pure_function(name)
    assert not is_pure_tensorflow_function(name)


@pytest.mark.parametrize(("module", "name"), DANGEROUS_OPERATIONS)
def test_what_is_no_operation_is_refused(module, name):
    assert not is_pure_operation(module, name)


@pytest.mark.parametrize("name", [None, 1, ["math.add"], {"math.add": 1}, b"math.add", ("math.add",), ""])
def test_what_is_no_name_is_refused(name):
    assert not is_pure_function(name)
    assert not is_pure_operation_class(name)
    assert not is_pure_class_method(name, name)


def test_a_name_of_tf_keras_is_none_of_tensorflow():
    assert is_pure_function("keras.backend.mean")
    assert not is_pure_tensorflow_function("keras.backend.mean")


@given(
    name=st.sampled_from(NAMES + sorted(KERAS3_OPERATIONS)),
    before=st.sampled_from(
        ["", " ", "\n", ".", "_", "tf.", "tensorflow.", "compat.", "compat.v2.", "keras.", "raw_ops."]
    ),
    after=st.sampled_from(["", " ", "\n", "\0", ".", "_", ".__call__", ".__globals__", "()", "\u200b"]),
)
def test_a_name_with_something_around_it_is_refused(name, before, after):
    if before or after:
        assert not is_pure_function(before + name + after)
        assert not is_pure_operation_class(before + name + after)


@given(name=st.sampled_from(NAMES), data=st.data())
def test_a_name_with_something_in_it_is_refused(name, data):
    at = data.draw(st.integers(1, len(name) - 1))
    between = data.draw(st.sampled_from([" ", "..", "\t", "\0", "\u200b", "\u00ad", "/", "::"]))
    assert not is_pure_function(name[:at] + between + name[at:])


@given(name=st.sampled_from([name for name in NAMES if name not in CAPITALS]), data=st.data())
def test_a_name_with_capitals_is_refused(name, data):
    places = data.draw(st.sets(st.integers(0, len(name) - 1), min_size=1))
    changed = "".join(letter.swapcase() if at in places else letter for at, letter in enumerate(name))
    assert changed == name or not is_pure_function(changed)


@given(name=st.sampled_from(NAMES))
def test_a_name_in_letters_that_look_alike_is_refused(name):
    changed = name.translate(ALIKE)
    assert changed == name or not is_pure_function(changed)


@given(name=st.sampled_from(NAMES) | st.sampled_from(sorted(DANGEROUS_FUNCTIONS)) | st.text())
def test_a_name_of_tensorflow_1_is_refused_unless_it_is_spelt_out(name):
    assert is_pure_function(V1_PREFIX + name) is (name in V1_NAMES)
    assert not is_pure_function(V1_PREFIX + V1_PREFIX + name)


@given(name=st.text() | st.from_regex(r"\A(math|nn|image|keras\.backend)\.[a-z_0-9]+\Z"))
def test_any_other_name_is_refused(name):
    assert is_pure_function(name) is (name in NAMES)
    assert is_pure_operation_class(name) is (name in KERAS3_OPERATIONS)
