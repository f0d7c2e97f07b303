"""One peer of :mod:`benchmarks.league`, in an environment of its own: tfcompress itself is imported for one alone.

    python league_peers.py make|serve NAME FOLDER MODEL

``make`` writes the peer's files into FOLDER, scores them there on test.npy, and leaves NAME.made.json. ``serve``
answers lines of JSON, ``{"file": …, "runs": …}``, with the seconds that each of so many runs of one image took.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Run = Callable[[np.ndarray], np.ndarray]
"""One image of shape (1, height, width, channels), real values -> its scores."""
Row = dict[str, Any]
PERCENTILE = 99.999


def imported(name: str) -> Any:
    """Import a module of the peer's environment."""
    return importlib.import_module(name)


def calibration_of(folder: Path) -> np.ndarray:
    """Return the images to calibrate on."""
    return np.asarray(np.load(folder / "calibration.npy"))


def cpu_seconds() -> float:
    """Return the processor time of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def row(name: str, file: Path, seconds: float, *beside: Path) -> Row:
    """Return what is known of a file before it is scored."""
    size = sum(path.stat().st_size for path in (file, *beside))
    return {"name": name, "file": file.name, "bytes": size, "cpu_seconds": round(seconds, 1)}


def tflite_runner(path: Path) -> Run:
    """Open a TFLite file in LiteRT with one thread."""
    interpreter = imported("ai_edge_litert.interpreter").Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def run(image: np.ndarray) -> np.ndarray:
        scale, zero = given["quantization"]
        if scale:
            limits = np.iinfo(given["dtype"])
            image = np.clip(np.rint(image / np.float32(scale)) + zero, limits.min, limits.max).astype(given["dtype"])
        interpreter.set_tensor(given["index"], image)
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(made["index"]))

    return run


def make_float(folder: Path, model: str) -> list[Row]:
    """Make nothing: the file is there."""
    return [row("float", folder / "float.tflite", 0.0)]


def make_ours(folder: Path, model: str) -> list[Row]:
    """Export in the ways of tfcompress."""
    tfc = imported("tfcompress")
    images, rows = calibration_of(folder), []
    ways: dict[str, tuple[str, dict[str, Any]]] = {
        "int8": (model, {"quantize": "int8", "samples": len(images)}),
        "int8, plain": (model, {"quantize": "int8", "samples": len(images), "calibration": "minmax"}),
        "dynamic": (model, {"quantize": "dynamic"}),
        "int8 of the .tflite": (str(folder / "float.tflite"), {"quantize": "int8", "samples": len(images)}),
    }
    for name, (source, settings) in ways.items():
        before = cpu_seconds()
        made = tfc.export(source, tfc.Export(**settings), data=images, progress=False)
        file = folder / f"ours-{name.replace(' ', '-').replace(',', '').replace('.', '')}.tflite"
        rows.append(row(name, made.save(file), cpu_seconds() - before))
        rows[-1]["macs"] = made.verification.macs
    return rows


def make_by_hand(folder: Path, model: str) -> list[Row]:
    """Convert as TensorFlow's documentation of post-training quantization does."""
    tf = imported("tensorflow")
    before = cpu_seconds()
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[np.newaxis]] for image in calibration_of(folder))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    file = folder / "by-hand-int8.tflite"
    file.write_bytes(converter.convert())
    return [row("int8", file, cpu_seconds() - before)]


def make_litert_quantizer(folder: Path, model: str) -> list[Row]:
    """Quantize as litert-quantizer does by itself."""
    quantizer, recipe = imported("litert_quantizer.quantizer"), imported("litert_quantizer.recipe")
    file, rows = folder / "float.tflite", []
    content = file.read_bytes()
    reader = imported("ai_edge_litert.interpreter").Interpreter(model_path=str(file))
    key, signature = next(iter(reader.get_signature_list().items()))
    data = {key: [{signature["inputs"][0]: image[np.newaxis]} for image in calibration_of(folder)]}
    for name, asked in (("int8", recipe.static_wi8_ai8()), ("dynamic", recipe.dynamic_wi8_afp32())):
        before = cpu_seconds()
        engine = quantizer.Quantizer(content, asked)
        ranges = engine.calibrate(data, num_threads=1) if engine.need_calibration else None
        made = folder / f"litert-quantizer-{name}.tflite"
        made.write_bytes(bytes(engine.quantize(ranges, enable_progress_report=False).quantized_model))
        rows.append(row(name, made, cpu_seconds() - before))
    return rows


def onnx_input(path: Path) -> str:
    """Return the name of an ONNX file's input."""
    return str(imported("onnx").load(str(path)).graph.input[0].name)


def make_onnxruntime(folder: Path, model: str) -> list[Row]:
    """Quantize statically, by channel, in QDQ form."""
    quantization = imported("onnxruntime.quantization")
    shape_inference = imported("onnxruntime.quantization.shape_inference")
    plain, rows = folder / "float.prepared.onnx", [row("float32", folder / "float.onnx", 0.0)]
    shape_inference.quant_pre_process(str(folder / "float.onnx"), str(plain), skip_symbolic_shape=True)
    name = onnx_input(plain)

    base: Any = quantization.CalibrationDataReader

    class Reader(base):  # type: ignore[misc]  # of the peer's environment
        def __init__(self) -> None:
            self._images = iter(calibration_of(folder))

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self._images, None)
            return None if image is None else {name: image[np.newaxis]}

    ways = {"min/max": ("MinMax", {}), "percentile": ("Percentile", {"CalibPercentile": PERCENTILE})}
    for label, (method, extra) in ways.items():
        before, file = cpu_seconds(), folder / f"onnxruntime-{method.lower()}.onnx"
        quantization.quantize_static(
            str(plain),
            str(file),
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            calibrate_method=getattr(quantization.CalibrationMethod, method),
            extra_options=extra,
        )
        rows.append(row(f"int8, {label}", file, cpu_seconds() - before))
    return rows


def onnxruntime_runner(path: Path) -> Run:
    """Open an ONNX file in ONNX Runtime with one thread."""
    runtime = imported("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda image: np.asarray(session.run(None, {name: image})[0])


def make_openvino(folder: Path, model: str) -> list[Row]:
    """Quantize with NNCF, biases corrected in its fast way and in full."""
    openvino, nncf = imported("openvino"), imported("nncf")
    images, rows = calibration_of(folder), []
    for label, fast in (("fast bias correction", True), ("full bias correction", False)):
        before = cpu_seconds()
        plain = openvino.Core().read_model(str(folder / "float.onnx"))
        data = nncf.Dataset([image[np.newaxis] for image in images])
        made = nncf.quantize(plain, data, subset_size=len(images), fast_bias_correction=fast)
        file = folder / f"openvino-{'fast' if fast else 'full'}.xml"
        openvino.save_model(made, str(file), compress_to_fp16=False)
        rows.append(row(f"int8, {label}", file, cpu_seconds() - before, file.with_suffix(".bin")))
    return rows


def openvino_runner(path: Path) -> Run:
    """Open a model in OpenVINO with one thread."""
    core = imported("openvino").Core()
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(str(path), "CPU", settings).create_infer_request()
    return lambda image: np.asarray(request.infer([image])[0])


def make_mnn(folder: Path, model: str) -> list[Row]:
    """Convert with weights of few bits."""
    rows = []
    for bits in (8, 4):
        before, file = cpu_seconds(), folder / f"mnn-{bits}.mnn"
        command = [str(Path(sys.executable).with_name("mnnconvert")), "-f", "ONNX", "--bizCode", "league"]
        command += ["--modelFile", str(folder / "float.onnx"), "--MNNModel", str(file)]
        done = subprocess.run(
            [*command, "--weightQuantBits", str(bits)], capture_output=True, text=True, check=False, cwd=folder
        )
        if done.returncode or not file.exists():
            msg = f"mnnconvert: {(done.stdout + done.stderr).strip()[-200:]}"
            raise SystemExit(msg)
        rows.append(row(f"weights of {bits} bits", file, cpu_seconds() - before))
    return rows


def mnn_runner(path: Path) -> Run:
    """Open a model in MNN with one thread."""
    mnn = imported("MNN")
    interpreter = mnn.Interpreter(str(path))
    session = interpreter.createSession({"numThread": 1})
    given, made = interpreter.getSessionInput(session), interpreter.getSessionOutput(session)
    layout = mnn.Tensor_DimensionType_Caffe  # the order of the ONNX file, whatever its axes mean

    def run(image: np.ndarray) -> np.ndarray:
        flat = np.ascontiguousarray(image, np.float32)
        given.copyFrom(mnn.Tensor(image.shape, mnn.Halide_Type_Float, flat, layout))
        interpreter.runSession(session)
        shape = made.getShape()
        host = mnn.Tensor(shape, mnn.Halide_Type_Float, np.zeros(shape, np.float32), layout)
        made.copyToHostTensor(host)
        return np.asarray(host.getData(), np.float32).reshape(1, -1)

    return run


def make_thop(folder: Path, model: str) -> list[Row]:
    """Count multiply-accumulates, each convolution and dense layer by itself as PyTorch has it."""
    onnx, torch, thop = imported("onnx"), imported("torch"), imported("thop")
    graph = onnx.shape_inference.infer_shapes(onnx.load(str(folder / "float.onnx"))).graph
    weights = {each.name: tuple(each.dims) for each in graph.initializer}
    known = (*graph.value_info, *graph.input)
    shapes = {v.name: [max(1, d.dim_value) for d in v.type.tensor_type.shape.dim] for v in known}
    total = 0
    for node in graph.node:
        kernel = weights.get(node.input[1]) if len(node.input) > 1 else None
        if kernel is None or node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        told = {each.name: list(each.ints) or each.i for each in node.attribute}
        if node.op_type == "Conv":
            groups, pads = told.get("group", 1), told.get("pads", [0, 0, 0, 0])
            layer = torch.nn.Conv2d(
                kernel[1] * groups, kernel[0], kernel[2:], told.get("strides", 1), groups=groups, bias=True
            )
            size = shapes[node.input[0]]
            image = torch.zeros(1, size[1], size[2] + pads[0] + pads[2], size[3] + pads[1] + pads[3])
        else:
            layer, image = torch.nn.Linear(*kernel), torch.zeros(1, kernel[0])
        total += int(thop.profile(layer, inputs=(image,), verbose=False)[0])
    return [{"name": "counts", "macs": total}]


MAKERS: dict[str, Callable[[Path, str], list[Row]]] = {
    "float": make_float,
    "tfcompress": make_ours,
    "tfmot": make_by_hand,
    "litert-quantizer": make_litert_quantizer,
    "onnxruntime": make_onnxruntime,
    "openvino": make_openvino,
    "mnn": make_mnn,
    "thop": make_thop,
}
RUNNERS: dict[str, Callable[[Path], Run]] = {
    ".tflite": tflite_runner,
    ".onnx": onnxruntime_runner,
    ".xml": openvino_runner,
    ".mnn": mnn_runner,
}
VERSIONS = {
    "tfcompress": ("tfcompress", "tensorflow", "ai-edge-litert"),
    "tfmot": ("tensorflow",),
    "float": ("ai-edge-litert",),
    "litert-quantizer": ("litert-quantizer", "ai-edge-litert"),
    "onnxruntime": ("onnxruntime",),
    "openvino": ("openvino", "nncf"),
    "mnn": ("MNN",),
    "thop": ("thop", "torch"),
}


def accuracy(run: Run, images: np.ndarray, labels: np.ndarray) -> float:
    """Return the part of images whose highest score is their class's."""
    found = np.array([run(image[np.newaxis]).reshape(-1).argmax() for image in images])
    return float(np.mean(found == labels))


def make(name: str, folder: Path, model: str) -> None:
    """Make a peer's files, score them, and write down what came out."""
    rows = MAKERS[name](folder, model)
    images, labels = np.load(folder / "test.npy"), np.load(folder / "labels.npy")
    for each in rows:
        if "file" in each:
            each["top1"] = accuracy(RUNNERS[Path(each["file"]).suffix](folder / each["file"]), images, labels)
    found = {"rows": rows, "images": len(labels), "versions": versions(name)}
    (folder / f"{name}.made.json").write_text(json.dumps(found, indent=1))


def versions(name: str) -> dict[str, str]:
    """Return the versions of what a peer is made of."""
    metadata, found = imported("importlib.metadata"), {}
    for package in VERSIONS[name]:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "as it is here"
    return found


def serve(folder: Path) -> None:
    """Answer until the pipe is closed."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes elsewhere
    image, opened = np.load(folder / "test.npy")[:1], dict[str, Run]()
    for line in sys.stdin:
        request = json.loads(line)
        file = request["file"]
        if file not in opened:
            opened[file] = RUNNERS[Path(file).suffix](folder / file)
            opened[file](image)
        seconds = []
        for _ in range(request["runs"]):
            started = time.perf_counter()
            opened[file](image)
            seconds.append(time.perf_counter() - started)
        answers.write(json.dumps({"seconds": seconds}) + "\n")
        answers.flush()


def main(given: Sequence[str]) -> None:
    """Do what is asked."""
    what, name, folder, model = given
    if what == "make":
        make(name, Path(folder), model)
    else:
        serve(Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
