"""``tfcompress recipes``: what can be asked for by name."""

from __future__ import annotations

import json

import click

from tfcompress.recipe import load_recipe, named

HELP = """\
List the named recipes; with NAME (or a .toml file), print that one as TOML.

\b
  tfcompress recipes
  tfcompress recipes prune50-qat-int8 > mine.toml      then edit, and: tfcompress export --recipe mine.toml …
"""


@click.command("recipes", help=HELP, short_help="List or print recipes.")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str | None, as_json: bool) -> None:
    if name is not None:
        recipe = load_recipe(name)
        click.echo(json.dumps(recipe.to_dict(), indent=2) if as_json else recipe.to_toml(), nl=as_json)
        return
    recipes = named()
    if as_json:
        click.echo(json.dumps({key: recipe.to_dict() for key, recipe in recipes.items()}, indent=2))
        return
    width = max(map(len, recipes))
    for key, recipe in recipes.items():
        click.echo(f"{key:<{width}}  {recipe.about}")
