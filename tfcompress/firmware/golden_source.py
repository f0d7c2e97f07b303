"""The C++ around a model: the ops it needs, its golden pair, and the test that runs one against the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfcompress.firmware.c_text import comment, numbers
from tfcompress.firmware.golden import GoldenPair
from tfcompress.firmware.ports import C_TYPES, Port

FLOAT_TOLERANCE = "1e-5f"
"""Largest difference of a float output, relative to the larger of 1 and its size, that the golden test lets pass."""


def ops_header(name: str, methods: Sequence[str]) -> str:
    """Return the header that registers exactly the ops of the file.

    Args:
        name: what the names in it begin with.
        methods: of ``MicroMutableOpResolver``.
    """
    guard = f"{name.upper()}_OPS_H_"
    lines = "".join(f"  if (resolver.{method}() != kTfLiteOk) return kTfLiteError;\n" for method in methods)
    npu = _NPU if "AddEthosU" in methods else ""
    return (
        f"/* The {len(methods)} ops of {name}.h's file; the linker keeps the kernels of these alone. */\n{npu}"
        f"#ifndef {guard}\n#define {guard}\n\n"
        '#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"\n\n'
        f"typedef tflite::MicroMutableOpResolver<{len(methods)}> {name}_op_resolver_t;\n\n"
        f"inline TfLiteStatus {name}_register_ops({name}_op_resolver_t& resolver) {{\n"
        f"{lines}  return kTfLiteOk;\n}}\n\n"
        f"#endif /* {guard} */\n"
    )


_NPU = """\
/* AddEthosU() is the NPU's op: build TensorFlow Lite Micro with its kernel (make: CO_PROCESSOR=ethos_u) and the driver
   of the board, which InitializeTarget() or the board's own code starts. The other ops run on the CPU. */
"""


def golden_header(name: str, pair: GoldenPair) -> str:
    """Return the golden pair as arrays, for C99 and C++11.

    Args:
        name: what the names in it begin with.
        pair: the numbers.
    """
    guard, count = f"{name.upper()}_GOLDEN_H_", f"{name.upper()}_GOLDEN_SAMPLES"
    sides = (("input", pair.inputs), ("output", pair.outputs))
    arrays = "".join(
        _array(f"{name}_golden_{kind}_{place}", count, values)
        for kind, side in sides
        for place, values in enumerate(side)
    )
    return (
        f"/* Inputs: {comment(pair.inputs_from)}. Outputs: {comment(pair.outputs_from)}.\n"
        "   All as the file stores them. */\n"
        f"#ifndef {guard}\n#define {guard}\n\n"
        "#include <math.h>\n#include <stdbool.h>\n#include <stdint.h>\n\n"
        f"#define {count} {pair.samples}\n\n{arrays}#endif /* {guard} */\n"
    )


def _array(name: str, count: str, values: np.ndarray) -> str:
    rows = "".join(f"  {{\n{numbers(row)}  }},\n" for row in values)
    each = max(1, int(np.prod(values.shape[1:])))
    return f"static const {C_TYPES[values.dtype.name]} {name}[{count}][{each}] = {{\n{rows}}};\n\n"


def golden_test_header(name: str, inputs: Sequence[Port], outputs: Sequence[Port], variables: int) -> str:
    """Return the function that runs the golden inputs through TensorFlow Lite Micro.

    Args:
        name: what the names in it begin with.
        inputs: of the file.
        outputs: of the file.
        variables: how many resource variables it has at most.
    """
    guard, big = f"{name.upper()}_GOLDEN_TEST_H_", name.upper()
    feed = "".join(_FEED.format(name=name, place=port.place) for port in inputs)
    check = "".join(
        (_CHECK_FLOAT if port.dtype == "float32" else _CHECK).format(
            name=name, big=big, place=port.place, tolerance=FLOAT_TOLERANCE
        )
        for port in outputs
    )
    made = _WITH_VARIABLES if variables else _WITHOUT_VARIABLES
    body = _TEST.format(
        name=name, big=big, feed=feed, check=check, made=made.format(name=name, big=big, variables=variables)
    )
    return (
        "/* Runs the golden inputs and compares every output. Kernels for one processor may differ from the portable\n"
        f"   ones by a step: compile with -D{big}_GOLDEN_STEPS=1 to let that pass. */\n"
        f"#ifndef {guard}\n#define {guard}\n\n{_INCLUDES.format(name=name)}"
        f"#ifndef {big}_GOLDEN_STEPS\n#define {big}_GOLDEN_STEPS 0\n#endif\n\n{body}#endif /* {guard} */\n"
    )


def main_source(name: str) -> str:
    """Return the program for a board or a desk that has ``main``.

    Args:
        name: of the model.
    """
    return (
        f'#include "{name}_golden_test.h"\n#include "tensorflow/lite/micro/system_setup.h"\n\n'
        "int main() {\n"
        "  tflite::InitializeTarget();\n"
        f"  const int failures = {name}_golden_test();\n"
        '  if (failures == 0) MicroPrintf("~~~ALL TESTS PASSED~~~");\n'
        "  return failures == 0 ? 0 : 1;\n"
        "}\n"
    )


_INCLUDES = """\
#include <math.h>
#include <string.h>

#include "{name}.h"
#include "{name}_golden.h"
#include "{name}_ops.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_log.h"
#include "tensorflow/lite/schema/schema_generated.h"

"""

_TEST = """\
/* Returns how many outputs differ; -1: the model could not be set up or run. */
inline int {name}_golden_test() {{
  alignas(16) static uint8_t arena[{big}_ARENA_BYTES];
  static {name}_op_resolver_t resolver;
  const tflite::Model* model = tflite::GetModel({name}_data);
  if (model->version() != TFLITE_SCHEMA_VERSION || {name}_register_ops(resolver) != kTfLiteOk) {{
    MicroPrintf("{name}: the schema or the ops do not fit this TensorFlow Lite Micro");
    return -1;
  }}
{made}  if (interpreter.AllocateTensors() != kTfLiteOk) {{
    MicroPrintf("{name}: AllocateTensors failed with an arena of %d bytes", static_cast<int>({big}_ARENA_BYTES));
    return -1;
  }}
  MicroPrintf("{name}: %d of %d bytes of the arena are used", static_cast<int>(interpreter.arena_used_bytes()),
              static_cast<int>({big}_ARENA_BYTES));
  int failures = 0;
  for (int sample = 0; sample < {big}_GOLDEN_SAMPLES; ++sample) {{
    if (interpreter.Reset() != kTfLiteOk) return -1;
{feed}    if (interpreter.Invoke() != kTfLiteOk) {{
      MicroPrintf("{name}: Invoke failed at sample %d", sample);
      return -1;
    }}
{check}  }}
  MicroPrintf("{name}: %d outputs differ", failures);
  return failures;
}}

"""

_WITHOUT_VARIABLES = """\
  static tflite::MicroInterpreter interpreter(model, resolver, arena, {big}_ARENA_BYTES);
"""

_WITH_VARIABLES = """\
  tflite::MicroAllocator* allocator = tflite::MicroAllocator::Create(arena, {big}_ARENA_BYTES);
  tflite::MicroResourceVariables* variables = tflite::MicroResourceVariables::Create(allocator, {variables});
  static tflite::MicroInterpreter interpreter(model, resolver, allocator, variables);
"""

_FEED = """\
    if (interpreter.input({place})->bytes != sizeof({name}_golden_input_{place}[sample])) return -1;
    memcpy(interpreter.input({place})->data.data, {name}_golden_input_{place}[sample],
           sizeof({name}_golden_input_{place}[sample]));
"""

_CHECK = """\
    const auto* got_{place} = static_cast<const {name}_output_{place}_t*>(interpreter.output({place})->data.data);
    for (size_t n = 0; n < sizeof({name}_golden_output_{place}[0]) / sizeof({name}_golden_output_{place}[0][0]); ++n) {{
      const int64_t wanted = {name}_golden_output_{place}[sample][n];
      const int64_t apart = static_cast<int64_t>(got_{place}[n]) - wanted;
      if ((apart < 0 ? -apart : apart) > {big}_GOLDEN_STEPS) {{
        MicroPrintf("sample %d, output {place}[%d]: %d, not %d", sample, static_cast<int>(n),
                    static_cast<int>(got_{place}[n]), static_cast<int>(wanted));
        ++failures;
      }}
    }}
"""

_CHECK_FLOAT = """\
    const auto* got_{place} = static_cast<const {name}_output_{place}_t*>(interpreter.output({place})->data.data);
    for (size_t n = 0; n < sizeof({name}_golden_output_{place}[0]) / sizeof({name}_golden_output_{place}[0][0]); ++n) {{
      const float wanted = {name}_golden_output_{place}[sample][n];
      if (!(fabsf(got_{place}[n] - wanted) <= {tolerance} * fmaxf(1.0f, fabsf(wanted)))) {{
        MicroPrintf("sample %d, output {place}[%d]: %f, not %f", sample, static_cast<int>(n),
                    static_cast<double>(got_{place}[n]), static_cast<double>(wanted));
        ++failures;
      }}
    }}
"""
