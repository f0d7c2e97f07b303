"""The files of a model where Arduino and ESP-IDF look for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tfcompress._version import __version__

Files = Mapping[str, str]
"""Text of files by their path in the folder."""

_COMPONENT = "espressif/esp-tflite-micro"
"""TensorFlow Lite Micro in the registry of ESP-IDF's components."""


def arduino(name: str, files: Files) -> dict[str, str]:
    """Return an Arduino library with a sketch that runs the golden test.

    Args:
        name: of the model, and of the library.
        files: those of the model: ``NAME.cc`` becomes ``NAME.cpp``, headers stay as they are.
    """
    root = f"arduino/{name}"
    sources = {f"{root}/src/{path.replace('.cc', '.cpp')}": text for path, text in _parts(files).items()}
    properties = (
        f"name={name}\nversion=1.0.0\nauthor=tfcompress {__version__}\nmaintainer=tfcompress {__version__}\n"
        "sentence=A model for TensorFlow Lite Micro, with its ops, arena size and golden test.\n"
        "paragraph=Needs a library of TensorFlow Lite Micro for the board, such as Arduino_TensorFlowLite.\n"
        f"category=Data Processing\nurl=https://www.tensorflow.org/lite/microcontrollers\narchitectures=*\n"
        f"includes={name}.h\n"
    )
    sketch = (
        "// The header of the library that brings TensorFlow Lite Micro to the board; some call it otherwise.\n"
        f"#include <TensorFlowLite.h>\n\n#include <{name}.h>\n#include <{name}_golden_test.h>\n\n"
        "void setup() {\n  Serial.begin(115200);\n  while (!Serial) {\n  }\n"
        f"  const int failures = {name}_golden_test();\n"
        '  Serial.println(failures == 0 ? "golden test passed" : "golden test FAILED");\n}\n\n'
        "void loop() {}\n"
    )
    return {
        **sources,
        f"{root}/library.properties": properties,
        f"{root}/examples/golden_test/golden_test.ino": sketch,
    }


def esp_idf(name: str, files: Files) -> dict[str, str]:
    """Return an ESP-IDF project that runs the golden test; the model is its component, to be copied into others.

    Args:
        name: of the model, and of the component.
        files: those of the model.
    """
    component = f"esp-idf/components/{name}"
    register = f'idf_component_register(SRCS "{name}.cc" INCLUDE_DIRS ".")\n'
    manifest = f'dependencies:\n  {_COMPONENT}:\n    version: "*"\n    public: true\n'
    project = (
        "cmake_minimum_required(VERSION 3.16)\n"
        "include($ENV{IDF_PATH}/tools/cmake/project.cmake)\n"
        f"project({name}_golden_test)\n"
    )
    program = (
        f'#include "{name}_golden_test.h"\n\n'
        'extern "C" void app_main(void) {\n'
        f"  const int failures = {name}_golden_test();\n"
        '  MicroPrintf(failures == 0 ? "golden test passed" : "golden test FAILED");\n}\n'
    )
    return {
        **{f"{component}/{path}": text for path, text in _parts(files).items()},
        f"{component}/CMakeLists.txt": register,
        f"{component}/idf_component.yml": manifest,
        "esp-idf/CMakeLists.txt": project,
        "esp-idf/main/CMakeLists.txt": f'idf_component_register(SRCS "main.cc" PRIV_REQUIRES {name})\n',
        "esp-idf/main/main.cc": program,
    }


def _parts(files: Files) -> dict[str, str]:
    """Return the model's own files: what has no ``main``."""
    return {path: text for path, text in files.items() if path.endswith((".h", ".cc")) and path != "main_test.cc"}


LAYOUTS: dict[str, Callable[[str, Files], dict[str, str]]] = {"arduino": arduino, "esp-idf": esp_idf}
"""Every layout by its name."""
