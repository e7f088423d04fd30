"""Reading the command line: parsers whose errors are one line."""

import argparse
from collections.abc import Callable
import difflib
from pathlib import Path
from typing import NoReturn

from prunebias_jax.errors import InputError


class Parser(argparse.ArgumentParser):
  """An argument parser whose errors are one line."""

  def known_options(self) -> list[str]:
    """Every option of this parser and of its verbs."""
    names = [*self._option_string_actions]
    for action in self._actions:
      if isinstance(action, argparse._SubParsersAction):
        for verb in action.choices.values():
          names.extend(verb.known_options())
    return names

  def error(self, message: str) -> NoReturn:
    """Raises InputError, with the nearest option where one is unknown."""
    marker = "unrecognized arguments: "
    if message.startswith(marker):
      name = message.removeprefix(marker).split()[0]
      known = [one for one in self.known_options() if one != "-h"]
      near = difflib.get_close_matches(name.split("=")[0], known, n=1)
      hint = f"did you mean {near[0]}?" if near else f"see {self.prog} --help"
      message = f"unknown argument {name}; {hint}"
    raise InputError(message)


def directory(text: str) -> Path:
  """Reads a path; an empty one, a variable that is not set, is no path."""
  if not text:
    raise argparse.ArgumentTypeError("'' is no path; accepted: a directory")
  return Path(text)


class Verbs:
  """The verbs of a parser; each is a function of the options it reads."""

  def __init__(self, parser: Parser) -> None:
    self._verbs = parser.add_subparsers(
      dest="verb", required=True, parser_class=Parser, metavar="VERB"
    )

  def add(self, name: str, run: Callable[[argparse.Namespace], None]) -> Parser:
    """A verb's own parser; its help is the first line of the function's."""
    text = (run.__doc__ or "").strip()
    parser = self._verbs.add_parser(
      name, help=text, description=text, allow_abbrev=False
    )
    parser.set_defaults(run=run)
    return parser
