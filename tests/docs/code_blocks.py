"""The code blocks of the docs: how they are read, and how a block of each language is run or checked."""

from __future__ import annotations

import argparse
import ast
import configparser
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge_runner.arguments import parse_arguments
from tests.reports.test_changes import a_report, a_score
from tfcompress.cli.main import run_command
from tfcompress.errors import MissingDependencyError
from tfcompress.recipe import named
from tools.docs_reference import commands
from tools.docs_site import DOCS, notebook_text, pages

ROOT = DOCS.parent
AT_THE_TOP = ("README.md", "CONTRIBUTING.md", "SECURITY.md")

FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^`]*)$")
REASONS = {
    "minutes": "it takes minutes",
    "device": "it needs a device or other machines",
    "network": "it loads something from a network",
    "install": "it changes what is installed on a machine",
    "mcu": "it needs the extra mcu; where that is installed, it is run",
    "tensorboard": "it needs the extra tensorboard; where that is installed, it is run",
    "quantizer": "it needs the extra litert-quantizer; where that is installed, it is run",
}
"""Why a block is checked and not run: ```` ```sh checked=minutes ````."""

MODULES = {"mcu": ("tflite_micro", "ethosu"), "tensorboard": ("tensorboard",), "quantizer": ("litert_quantizer",)}
"""Of a reason that is an extra, the modules that it installs."""


@dataclass(frozen=True)
class Block:
    """A block of code in a page.

    Attributes:
        page: relative to the repository.
        line: of its first fence.
        language: the first word behind the fence.
        reason: why it is only checked; empty: it is run.
        text: what stands in it.
    """

    page: str
    line: int
    language: str
    reason: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def all_pages() -> list[Path]:
    """Return every page that people have written: of docs/, and those at the top."""
    return [*pages(), *(ROOT / name for name in AT_THE_TOP)]


def blocks_of(path: Path) -> list[Block]:
    """Return the blocks of a page or notebook, in their order.

    Raises:
        ValueError: a fence that is not closed, or a word behind one that means nothing.
    """
    text = path.read_text("utf-8")
    return list(read_blocks(notebook_text(text) if path.suffix == ".ipynb" else text, str(path.relative_to(ROOT))))


def read_blocks(text: str, page: str) -> Iterator[Block]:
    """Give the blocks of a text; see :func:`blocks_of`."""
    opened: tuple[int, re.Match[str]] | None = None
    lines: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.match(line)
        if opened is None and fence:
            opened, lines = (number, fence), []
        elif opened is not None and line.strip() == "```":
            yield _block(page, opened, lines)
            opened = None
        elif opened is not None:
            lines.append(line.removeprefix(opened[1]["indent"]))
    if opened is not None:
        msg = f"{page}:{opened[0]}: a block is not closed"
        raise ValueError(msg)


def _block(page: str, opened: tuple[int, re.Match[str]], lines: list[str]) -> Block:
    number, fence = opened
    language, *more = fence["info"].split() or [""]
    if language.startswith("{"):
        return Block(page, number, language, "", "\n".join(lines))
    for word in more:
        if word not in {f"checked={reason}" for reason in REASONS} or language not in CHECKERS:
            msg = f"{page}:{number}: {word!r} behind ```{language} means nothing"
            raise ValueError(msg)
    reason = more[0].removeprefix("checked=") if more else ""
    return Block(page, number, language, reason, "\n".join(lines))


class Reached(BaseException):
    """A command has checked all that it checks before its work; no ``except Exception`` keeps it."""


def run_block(block: Block, names: dict[str, Any]) -> None:
    """Run a block in the current folder, or check it where it says so.

    Args:
        block: of the page that is being read.
        names: of the page's Python, shared by its blocks.
    """
    if block.language in RUNNERS:
        kinds = RUNNERS if not block.reason or has_extra(block.reason) else CHECKERS
        kinds[block.language](block, names)


def has_extra(reason: str) -> bool:
    """Return whether a reason is an extra that is installed."""
    return reason in MODULES and all(find_spec(module) is not None for module in MODULES[reason])


def run_python(block: Block, names: dict[str, Any]) -> None:
    """Execute a block; a block that begins with ``# NAME.py`` is that file, and imported."""
    file = write_file(block, ".py")
    if file:
        import_file(Path(file))
        return
    tree = ast.parse(block.text, str(block))
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr):
        tree.body.pop()
    code = compile(tree, str(block), "exec")
    with redirect_stdout(io.StringIO()):
        exec(code, names)
        if isinstance(last, ast.Expr):
            show(eval(compile(ast.Expression(last.value), str(block), "eval"), names))


def import_file(path: Path) -> None:
    """Import a module from its file, and forget it: whoever needs it finds the file."""
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[path.stem]


def show(value: object) -> None:
    """Show a value as a notebook would."""
    html = getattr(value, "_repr_html_", None)
    assert repr(value) if html is None else html()


def write_file(block: Block, suffix: str) -> str:
    """Write a block that begins with ``# NAME`` as that file; return its name, or nothing."""
    first = re.match(rf"# ([\w./-]+{re.escape(suffix)})\b", block.text)
    if first is None:
        return ""
    path = Path(first[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text + "\n", "utf-8")
    return path.name


def command_lines(block: Block) -> Iterator[list[str]]:
    """Give the commands of a shell block as words; of a ``console`` block, what stands behind ``$``."""
    text = block.text
    if block.language == "console":
        text = "\n".join(line[2:] for line in text.splitlines() if line.startswith("$ "))
    for line in text.replace("\\\n", " ").splitlines():
        for part in _parts(shlex.split(line, comments=True)):
            if part:
                yield part


def _parts(words: list[str]) -> Iterator[list[str]]:
    part: list[str] = []
    for word in words:
        if word in ("&&", "|", ";"):
            yield part
            part = []
        else:
            part.append(word)
    yield part


EXPORTED = shlex.split("tfcompress export model.keras --quantize int8 --data data.npz --scale 1/255")
"""The command that several pages begin with: it is run once, and its folder is at hand for every page."""


def run_shell(block: Block, names: dict[str, Any]) -> None:
    """Run each ``tfcompress`` of a block in this process, and whatever else it may hold as a process of its own."""
    for words in command_lines(block):
        if words == EXPORTED and Path("model-int8/report.json").is_file():
            continue
        if words[0] == "tfcompress":
            again = ["--force"] if words[1] == "export" and "--force" not in words else []  # the props have its folder
            code = run_command(expanded(words[1:]) + again)
            assert code == 0, f"{block}: {shlex.join(words)} ended with {code}"
        else:
            assert words[0] in ("python", "python3", "bash", "cp", "ls"), f"{block}: {words[0]} is only to be checked"
            words[0] = sys.executable if words[0].startswith("python") else words[0]
            done = subprocess.run(expanded(words), capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{block}: {shlex.join(words)}: {done.stderr}"


def expanded(words: list[str]) -> list[str]:
    """Return words with their ``*`` filled in, as a shell does where there are such files."""
    found: list[str] = []
    for word in words:
        found += (sorted(map(str, Path().glob(word))) if "*" in word and not word.startswith(("/", "-")) else []) or [
            word
        ]
    return found


def check_python(block: Block, names: dict[str, Any]) -> None:
    """Compile a block whose extra is not installed."""
    assert block.reason in MODULES, f"{block}: Python is run; only an extra that is not there excuses it"
    compile(block.text, str(block), "exec")


def check_shell(block: Block, names: dict[str, Any]) -> None:
    """Check every command of a block as far as it can be without its work."""
    if block.language == "sh":
        subprocess.run(["bash", "-n", "-c", block.text], check=True)
    for words in command_lines(block):
        check_command(words, str(block))


def check_command(words: list[str], where: str) -> None:
    """Check one command; what is known of it by its first word.

    Raises:
        AssertionError: nothing is known of it, or it cannot be called like that.
    """
    while words[:1] == ["sudo"] or (words and re.match(r"[A-Z_]+=", words[0])):
        words = words[1:]
    words = words[: next((place for place, word in enumerate(words) if word in (">", ">>")), None)]
    name = re.sub(r"^~/edge/bin/|^python3?$", "", words[0]) or "python"
    assert name in COMMANDS, f"{where}: nothing is known of {words[0]}; see COMMANDS in {Path(__file__).name}"
    COMMANDS[name](words[1:], where)


def _check_tfcompress(words: list[str], where: str) -> None:
    """Let the command read and check all its options, and stop where its work would begin."""
    from tfcompress.cli import terminal

    def stop() -> None:
        raise Reached

    if words[0] in READ_FIRST:
        next(command for name, _, command in commands() if name == words[0]).make_context(words[0], words[1:])
        return
    make_up(words)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(terminal, "terminal", stop)
        try:
            code = run_command(words)
        except Reached:
            return
    assert code in (0, MissingDependencyError.exit_code), f"{where}: tfcompress {shlex.join(words)} ended with {code}"


READ_FIRST = ("card",)
"""Commands that read what a run wrote before anything else: only their options are read."""


def make_up(words: list[str]) -> None:
    """Make the files up that a command looks at before its work: models in pairs with data, recipes, reports."""
    for pair in (word for word in words if re.fullmatch(r"[\w.]+\.(h5|keras):\S+", word)):
        Path(pair.partition(":")[0]).touch()
    for word in (word for word in words if re.search(r"(mine|recipe)\.toml$", word)):
        Path(word).parent.mkdir(parents=True, exist_ok=True)
        Path(word).write_text(named()["int8"].to_toml(), "utf-8")
    for word in words[1:3] if words[0] == "compare" else ():
        path = Path(word) if word.endswith(".json") else Path(word) / "report.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        a_report(1000, a_score(0.9, 0.01)).save(path)


def _check_python(words: list[str], where: str) -> None:
    if words[:1] == ["-m"] and words[1] in ("pip", "venv", "pytest"):
        check_command(words[1:], where)
    elif words[:1] == ["-m"]:
        assert (ROOT / (words[1].replace(".", "/") + ".py")).is_file(), f"{where}: no module {words[1]}"
    elif words[0] == "edge_runner":
        check_runner(words[1:], where)
    else:
        assert any((folder / words[0]).is_file() for folder in (Path(), ROOT, DOCS / "examples")), f"{where}: {words}"


def check_runner(words: list[str], where: str) -> None:
    """Let edge_runner read its arguments, files that are on a device made up."""
    try:
        parse_arguments(words)
    except SystemExit as error:
        msg = f"{where}: edge_runner refuses {shlex.join(words)}"
        raise AssertionError(msg) from error


def _check_pip(words: list[str], where: str) -> None:
    assert words[0] == "install", where
    extras = setup()["options.extras_require"]
    for word in words[1:]:
        asked = re.fullmatch(r"(?:\.|tfcompress)\[([\w,]+)\]", word)
        assert asked is None or {*asked[1].split(",")} <= {*extras}, f"{where}: no extra {word}"


def _check_make(words: list[str], where: str) -> None:
    assert re.search(rf"^{re.escape(words[0])}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE), where


def _check_pytest(words: list[str], where: str) -> None:
    options = argparse.ArgumentParser()
    options.add_argument("-m")
    options.add_argument("paths", nargs="*")
    asked = options.parse_args(words)
    known = re.findall(r"^ *(\w+): ", setup()["tool:pytest"]["markers"], re.MULTILINE)
    assert asked.m is None or asked.m.removeprefix("not ") in known, f"{where}: no marker {asked.m}"
    assert all((ROOT / path).exists() for path in asked.paths), where


def _check_ssh(words: list[str], where: str) -> None:
    for text in words[1:]:
        check_command(shlex.split(text), where)


def _nothing(words: list[str], where: str) -> None:
    """Leave a command of another program to bash's own syntax check."""


def setup() -> configparser.ConfigParser:
    """Return setup.cfg."""
    found = configparser.ConfigParser()
    found.read(ROOT / "setup.cfg")
    return found


COMMANDS: Mapping[str, Callable[[list[str], str], None]] = {
    "tfcompress": _check_tfcompress,
    "python": _check_python,
    "pip": _check_pip,
    "make": _check_make,
    "pytest": _check_pytest,
    "ssh": _check_ssh,
    "venv": _nothing,
    **dict.fromkeys((".", "apt", "cd", "cp", "docker", "echo", "export", "git", "ls", "mkdir"), _nothing),
    **dict.fromkeys(("onnx2tf", "pre-commit", "ray", "scp", "tee", ".ci/run"), _nothing),
}
"""What is known of a command that is only checked."""


def check_toml(block: Block, names: dict[str, Any]) -> None:
    """Read a TOML block by what reads it in tfcompress; its first line says the file's name."""
    name = write_file(block, ".toml")
    reader = next((read for pattern, read in TOML_READERS.items() if re.fullmatch(pattern, name)), None)
    assert reader, f"{block}: begin with a line '# NAME.toml' of those that {Path(__file__).name} knows a reader of"
    reader(Path(name))


def _read_features(path: Path) -> None:
    from tfcompress.data import records

    records.read_description(path)


def _read_devices(path: Path) -> None:
    from tfcompress.devices import config

    config.load_devices(path)


def _read_target(path: Path) -> None:
    from tfcompress.targets.target_table import find_target

    find_target(str(path))


def _read_recipe(path: Path) -> None:
    from tfcompress.recipe import load_recipe

    load_recipe(path)


TOML_READERS: Mapping[str, Callable[[Path], None]] = {
    "features.toml": _read_features,
    "devices.toml": _read_devices,
    "board.toml": _read_target,
    r"recipe\w*.toml|mine.toml": _read_recipe,
}


def check_yaml(block: Block, names: dict[str, Any]) -> None:
    """Read a YAML block; steps that use this repository's action give what it takes."""
    action = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
    for step in steps_in(yaml.safe_load(block.text)):
        if re.search(r"/tfcompress@|^\./$", step.get("uses", "")):
            given, inputs = {*step["with"]}, action["inputs"]
            needed = {name for name, about in inputs.items() if about.get("required")}
            assert needed <= given <= {*inputs}, f"{block}: the action takes {', '.join(inputs)}"


def steps_in(value: object) -> Iterator[dict[str, Any]]:
    """Give every table that stands anywhere in a value."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from steps_in(inner)


def check_json(block: Block, names: dict[str, Any]) -> None:
    """Parse a block of JSON."""
    json.loads(block.text)


Run = Callable[[Block, dict[str, Any]], None]
RUNNERS: Mapping[str, Run] = {
    "python": run_python,
    "sh": run_shell,
    "console": run_shell,
    "toml": check_toml,
    "yaml": check_yaml,
    "json": check_json,
}
CHECKERS: Mapping[str, Run] = {"python": check_python, "sh": check_shell, "console": check_shell}
SHOWN = ("text", "cpp", "{toctree}")
"""What is not run: output of a program, a drawing, a firmware's sources, a list of pages."""


def in_folder(folder: Path) -> Iterator[None]:
    """Be in a folder, from which modules are imported, too."""
    before = Path.cwd()
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))
    os.chdir(before)
    for name, module in [*sys.modules.items()]:
        if (getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]


def measure(model: Path, output: Path) -> None:
    """Measure a file by edge_runner, shortly."""
    words = [str(ROOT / "edge_runner"), str(model), "--seconds", "0.1", "--runs", "5", "-o", str(output)]
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
