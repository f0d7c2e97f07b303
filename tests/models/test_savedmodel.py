import contextlib
import os
import shutil
import sys

import numpy as np
import pytest

from tests.models.saved_models import constant, edited, plain, save, serving, version1
from tfcompress.errors import ModelError
from tfcompress.models import savedmodel
from tfcompress.models.loading import load_model
from tfcompress.models.savedmodel import check_trusted, saved_signature
from tfcompress.models.signature import call


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return plain(tmp_path_factory.mktemp("original") / "saved")


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "saved")


def test_a_graph_of_tensorflow_1_is_taken_with_the_savers_that_training_left_in_it(tmp_path):
    import tensorflow as tf

    def extra():
        tf.compat.v1.train.Saver(sharded=True)

    loaded = load_model(version1(tmp_path / "saved", extra=extra, init=lambda: tf.no_op(name="init_all")))
    assert loaded.writer == "savedmodel"
    assert call(loaded.native, {"x": np.float32([[3.0]])})["y"].tolist() == [[3.0 * 2 + 3.0 * 2]]


def test_a_graph_whose_savers_are_in_a_collection_is_taken(tmp_path):
    import tensorflow as tf

    def extra():
        tf.compat.v1.add_to_collection("savers", tf.compat.v1.train.Saver())

    assert load_model(version1(tmp_path / "saved", extra=extra)).writer == "savedmodel"


def test_a_table_whose_contents_are_in_the_graph_is_taken(tmp_path):
    import tensorflow as tf

    module = serving(lambda x: module.table.lookup(tf.as_string(x)))
    module.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["a"], [1]), -1)
    assert load_model(save(module, tmp_path / "saved")).writer == "savedmodel"


def test_branches_loops_and_gradients_are_taken(tmp_path):
    import tensorflow as tf

    @tf.custom_gradient
    def doubled(t):
        return 2 * t, lambda upstream: 2 * upstream

    def body(x):
        x = tf.while_loop(lambda t: tf.reduce_sum(t) < 3, lambda t: (t + 1,), (x,))[0]
        return tf.cond(tf.size(x) > 1, lambda: doubled(x), lambda: tf.switch_case(tf.size(x), [lambda: x, lambda: -x]))

    assert load_model(save(serving(body), tmp_path / "saved")).writer == "savedmodel"


def test_a_saved_model_without_variables_is_taken(tmp_path):
    import tensorflow as tf

    module = tf.Module()
    module.serve = tf.function(lambda x: {"y": 2 * x}, input_signature=[tf.TensorSpec((None, 1), name="x")])
    assert load_model(save(module, tmp_path / "saved")).writer == "savedmodel"


def test_a_saved_model_that_is_saved_again_is_taken(tmp_path):
    import tensorflow as tf

    for number, writer in enumerate((plain, version1)):
        loaded = tf.saved_model.load(str(writer(tmp_path / f"first{number}")))
        tf.saved_model.save(loaded, str(tmp_path / f"second{number}"), signatures=loaded.signatures)
        assert load_model(tmp_path / f"second{number}").writer == "savedmodel"


def test_what_was_looked_at_is_not_looked_at_twice(folder, monkeypatch):
    check_trusted(folder, trust=False)
    monkeypatch.setattr(savedmodel, "check_trusted", None)
    assert saved_signature(folder)[0].structured_outputs


def test_a_pipe_in_the_folder_is_not_waited_for(folder):
    os.mkfifo(folder / "variables" / "pipe")
    with pytest.raises(ModelError, match=r"its 'variables/pipe' is neither a file nor a folder"):
        load_model(folder, trust=True)


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="such a link resolves to itself there, and that is inside")
def test_a_link_in_a_circle_is_one_clear_line(folder):
    (folder / "round").symlink_to("round")
    with pytest.raises(ModelError, match="its link 'round' leads in a circle"):
        load_model(folder)


def test_a_graph_larger_than_a_protocol_buffer_is_not_read(folder):
    with (folder / "saved_model.pb").open("r+b") as file:
        file.truncate(2**31)
    with pytest.raises(ModelError, match=r"its saved_model\.pb has 2147483648 bytes, more than a graph can have"):
        load_model(folder, trust=True)


def test_a_constant_that_is_much_larger_than_its_description_is_refused(folder):
    with edited(folder) as saved:
        node = constant(saved.meta_graphs[0].graph_def.node.add(), "large", "")
        tensor = node.attr["value"].tensor
        tensor.Clear()
        tensor.dtype = 1
        tensor.float_val.append(1.0)
        tensor.tensor_shape.dim.add(size=10**12)
        expected = 4 * 10**12 - tensor.ByteSize()
    with pytest.raises(ModelError, match=f"its constants take {expected} bytes that are not in the file"):
        load_model(folder, trust=True)


def test_functions_that_double_at_every_call_are_refused(folder):
    with edited(folder) as saved:
        library = saved.meta_graphs[0].graph_def.library
        for number in range(31):
            function = library.function.add()
            function.signature.name = f"f{number}"
            for which in range(2):
                call = function.node_def.add(name=f"n{which}", op="PartitionedCall" if number else "NoOp")
                if number:
                    call.attr["f"].func.name = f"f{number - 1}"
    with pytest.raises(ModelError, match=r"its functions unfold into \d{10} operations"):
        load_model(folder, trust=True)


def test_functions_that_call_each_other_are_refused(folder):
    with edited(folder) as saved:
        library = saved.meta_graphs[0].graph_def.library
        for name, other in (("f", "g"), ("g", "f")):
            function = library.function.add()
            function.signature.name = name
            function.node_def.add(name="call", op=other)
    with pytest.raises(ModelError, match="its functions call each other in a circle"):
        load_model(folder)


def test_a_long_chain_of_functions_is_followed(folder):
    with edited(folder) as saved:
        library = saved.meta_graphs[0].graph_def.library
        for number in range(5000):
            function = library.function.add()
            function.signature.name = f"f{number}"
            function.node_def.add(name="call", op=f"f{number + 1}" if number < 4999 else "NoOp")
    check_trusted(folder, trust=False)


def test_variables_that_are_larger_than_their_files_are_refused(folder):
    data = folder / "variables" / "variables.data-00000-of-00001"
    data.write_bytes(b"")
    with pytest.raises(ModelError, match=r"its variables take \d+ bytes, their files have 0"):
        load_model(folder, trust=True)


def test_a_damaged_index_of_the_variables_is_one_clear_line(folder):
    (folder / "variables" / "variables.index").write_bytes(b"no index")
    with pytest.raises(ModelError, match=r"its variables\.index is damaged"):
        load_model(folder)


@pytest.mark.parametrize("seed", range(5))
def test_a_damaged_graph_raises_nothing_but_our_errors(seed, folder):
    generator = np.random.default_rng(seed)
    whole = (folder / "saved_model.pb").read_bytes()
    for _ in range(20):
        content = bytearray(whole)
        content[generator.integers(len(content))] = generator.integers(256)
        (folder / "saved_model.pb").write_bytes(content)
        with contextlib.suppress(ModelError):
            check_trusted(folder, trust=False)
