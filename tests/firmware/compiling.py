"""Compilers for tests, and declarations in the place of TensorFlow Lite Micro's headers, which no wheel holds."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

WARNINGS = ("-Wall", "-Wextra", "-Werror")

needs_compilers = pytest.mark.skipif(
    not (shutil.which("gcc") and shutil.which("g++")), reason="no gcc and g++ on this machine"
)

STUBS = {
    "tensorflow/lite/micro/micro_mutable_op_resolver.h": """
        #pragma once
        enum TfLiteStatus { kTfLiteOk, kTfLiteError };
        namespace tflite {
        template <unsigned int count> class MicroMutableOpResolver {
         public:
          TfLiteStatus AddConv2D() { return more(); }
          TfLiteStatus AddEthosU() { return more(); }
          TfLiteStatus AddFullyConnected() { return more(); }
          TfLiteStatus AddGather() { return more(); }
          TfLiteStatus AddReshape() { return more(); }
          TfLiteStatus AddSoftmax() { return more(); }
         private:
          TfLiteStatus more() { return used++ < count ? kTfLiteOk : kTfLiteError; }
          unsigned int used = 0;
        };
        }
    """,
    "tensorflow/lite/micro/micro_interpreter.h": """
        #pragma once
        #include <stddef.h>
        #include <stdint.h>
        #include <stdlib.h>
        #include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
        #include "tensorflow/lite/schema/schema_generated.h"
        #define TFLITE_SCHEMA_VERSION (3)
        struct TfLiteTensor { struct { void* data; } data; size_t bytes; };
        namespace tflite {
        class MicroInterpreter {  // answers what the golden pair says; wrongly by as many steps as STUB_WRONG says
         public:
          template <class Resolver>
          MicroInterpreter(const Model*, const Resolver&, uint8_t*, size_t size) : size_(size) {}
          TfLiteStatus AllocateTensors() { return kTfLiteOk; }
          TfLiteStatus Reset() { return kTfLiteOk; }
          TfLiteStatus Invoke() {
            for (size_t n = 0; n < sizeof(got_); ++n) got_[n] = 0;
            if (memcmp(given_, model_golden_input_0[sample_], sizeof(given_)) != 0) return kTfLiteError;
            memcpy(got_, model_golden_output_0[sample_++], sizeof(got_));
            got_[1] = (int8_t)(got_[1] + atoi(getenv("STUB_WRONG")));
            return kTfLiteOk;
          }
          TfLiteTensor* input(size_t) { return &input_; }
          TfLiteTensor* output(size_t) { return &output_; }
          size_t arena_used_bytes() const { return size_; }
         private:
          size_t size_;
          int sample_ = 0;
          int8_t given_[MODEL_INPUT_0_ELEMENTS], got_[MODEL_OUTPUT_0_ELEMENTS];
          TfLiteTensor input_ = {{given_}, sizeof(given_)}, output_ = {{got_}, sizeof(got_)};
        };
        }
    """,
    "tensorflow/lite/schema/schema_generated.h": """
        #pragma once
        namespace tflite {
        struct Model { unsigned int version() const { return 3; } };
        inline const Model* GetModel(const void* data) { return static_cast<const Model*>(data); }
        }
    """,
    "tensorflow/lite/micro/micro_log.h": """
        #pragma once
        #include <stdio.h>
        #define MicroPrintf(...) (printf(__VA_ARGS__), printf("\\n"))
    """,
    "tensorflow/lite/micro/system_setup.h": """
        #pragma once
        namespace tflite { inline void InitializeTarget() {} }
    """,
}


def write_stubs(folder: Path) -> Path:
    for path, text in STUBS.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return folder


def build(compiler: str, sources: list[Path], target: Path, *words: str) -> Path:
    """Compile and link with all warnings as errors."""
    done = subprocess.run(
        [compiler, *WARNINGS, *words, *map(str, sources), "-o", str(target), "-lm"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return target


def output_of(program: Path, **environment: str) -> tuple[int, str]:
    done = subprocess.run([program], capture_output=True, text=True, env=environment)
    return done.returncode, done.stdout
