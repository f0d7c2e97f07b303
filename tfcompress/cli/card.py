"""``tfcompress card``: a run as a repository of the Hugging Face Hub."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfcompress.errors import MissingDependencyError, OutputError, UsageError

if TYPE_CHECKING:
    from tfcompress.reports.report import Report

HELP = """\
Write a run as a Hugging Face repository: the model card (README.md with its metrics), the .tflite, report and recipe.

\b
  tfcompress card model-int8/ -o hub/
  tfcompress card model-int8/ -o hub/ --license apache-2.0 --push you/net-int8

RUN is a folder that export wrote. Every number of the card is the report's. Trained models, test samples and pictures
of samples are not taken along, and the data is named without its path; look through the folder before you push it.
--push needs the extra hub (pip install tfcompress[hub]) and a token, as huggingface_hub finds them (HF_TOKEN, or
`hf auth login`); a repository that does not exist is made, private unless --public is given.
"""

BESIDE = (
    *("-tflm.tflite", "-streaming.tflite", "-streaming-tflm.tflite"),
    *(".vela.tflite", "-streaming.vela.tflite", ".tfz"),
)
"""Ends of names of files that stand for the file elsewhere, and go along with it."""

ATTRIBUTES = "*.tflite filter=lfs diff=lfs merge=lfs -text\n*.tfz filter=lfs diff=lfs merge=lfs -text\n"
"""What marks these as large files for git."""


@click.command("card", help=HELP, short_help="Write a run as a Hugging Face repository.")
@click.argument("run", metavar="RUN")
@click.option("-o", "--output", metavar="FOLDER", help="Where to write. [default: RUN-card]")
@click.option("--title", metavar="TEXT", help="What the card calls the model. [default: the file's name]")
@click.option("--license", "license_id", metavar="ID", default="", help="As the Hub calls it, e.g. apache-2.0.")
@click.option("--push", "repository", metavar="[OWNER/]NAME", help="Then upload the folder to this repository.")
@click.option("--public", is_flag=True, help="Let everybody see a repository that --push makes.")
@click.option("-f", "--force", is_flag=True, help="Replace an existing folder that tfcompress wrote.")
def command(
    run: str,
    output: str | None,
    title: str | None,
    license_id: str,
    repository: str | None,
    public: bool,
    force: bool,
) -> None:
    if public and not repository:
        msg = "--public would do nothing: there is no --push"
        raise UsageError(msg)
    if repository and find_spec("huggingface_hub") is None:
        msg = "--push needs a package that is not installed: pip install 'tfcompress[hub]'"
        raise MissingDependencyError(msg)
    from tfcompress.cli.terminal import terminal
    from tfcompress.files import check_target, output_folder
    from tfcompress.reports.report import read_report
    from tfcompress.reports.run_records import read_result_file

    source = Path(run)
    target = Path(output) if output else Path(f"{source.resolve().name}-card")
    report = read_report(source)
    folder = source if source.is_dir() else source.parent
    if target.resolve() == folder.resolve():
        msg = f"-o {target} is the run itself; choose another place"
        raise UsageError(msg)
    check_target(target, force=force)
    read_result_file(folder, report)
    with terminal() as screen:
        with output_folder(target, key=report.result.sha256, force=force) as partial:
            called = title or Path(report.result.name).stem
            write_repository(partial, folder, report, title=called, license_id=license_id)
        screen.write(f"written: {target}/\n")
        if repository:
            screen.write(f"pushed: {push(target, repository, private=not public)}\n")


def write_repository(target: Path, folder: Path, report: Report, *, title: str, license_id: str) -> None:
    """Write card, file, report and recipe.

    Args:
        target: where to.
        folder: of the run.
        report: of the run.
        title: what the card calls the model.
        license_id: as the Hub calls it; empty: none is said.

    Raises:
        UsageError: a report that no run wrote, or a file beside it that is none of the folder's.
    """
    from tfcompress.files import write_atomic
    from tfcompress.reports.model_card import model_card, published
    from tfcompress.reports.run_details import recipe_toml

    file = folder / report.result.name
    beside = [file.with_name(file.stem + end) for end in BESIDE]
    others = [*(each for each in beside if each.is_file()), *sorted(folder.glob("*.vocabulary.txt"))]
    for path in others:
        if not path.is_file() or path.resolve().parent != folder.resolve():  # it would be published
            msg = f"{str(path)!r} is no file of the run's folder but a link; put the file itself there, or remove it"
            raise UsageError(msg)
    for path in (file, *others):
        shutil.copyfile(path, target / path.name)
    try:
        card, recipe = model_card(report, title=title, license_id=license_id), recipe_toml(report.recipe)
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        msg = f"{str(folder)!r}: its report is not whole: {type(error).__name__} {error}"
        raise UsageError(msg) from error
    write_atomic(target / "README.md", card)
    write_atomic(target / "recipe.toml", recipe)
    write_atomic(target / ".gitattributes", ATTRIBUTES)
    published(report).save(target / "report.json")


def push(folder: Path, repository: str, *, private: bool) -> str:
    """Upload a folder, and return the address of what was made of it.

    Args:
        folder: what :func:`write_repository` wrote.
        repository: ``[OWNER/]NAME``; made where it is not there.
        private: whether one that is made is for its owner alone.

    Raises:
        OutputError: it cannot be uploaded: no token, no network, no right to.
    """
    try:
        from huggingface_hub import HfApi

        api = HfApi()
        made = api.create_repo(repository, repo_type="model", private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=made.repo_id, repo_type="model", folder_path=str(folder), commit_message="Upload by tfcompress"
        )
    except Exception as error:  # of a package and a service that may fail in any way
        msg = f"{repository} was not pushed, {folder}/ is written: {type(error).__name__}: {error}"
        raise OutputError(msg) from error
    return str(done)
