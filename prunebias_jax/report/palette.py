"""Colours of the page and its figures, for light and dark screens.

A figure is drawn in the light colours. Where it stands in the page each of
them becomes a CSS variable, so that one drawing serves both: no two names may
share a light colour.
"""

import re

# The series are after Okabe and Ito, the scale runs blue to orange: both can
# be told apart with any of the common colour vision deficiencies.
LIGHT: dict[str, str] = {
  "page": "#fdfdfc",
  "ink": "#1b2026",
  "muted": "#5a6470",
  "grid": "#e1e4e8",
  "missing": "#ecedee",
  "series-0": "#0a6ab0",
  "series-1": "#c2500f",
  "series-2": "#0b8465",
  "series-3": "#a4508b",
  "series-4": "#8a6d00",
  "series-5": "#4f5b93",
}
DARK: dict[str, str] = {
  "page": "#14171b",
  "ink": "#e8eaed",
  "muted": "#a2abb5",
  "grid": "#2d333a",
  "missing": "#1f242a",
  "series-0": "#5fb3ee",
  "series-1": "#ff9055",
  "series-2": "#3fc79f",
  "series-3": "#e393c9",
  "series-4": "#dcb93a",
  "series-5": "#a3afea",
}
SERIES = 6

# Signed numbers in steps: the middle one is "no change".
STEPS = 11
_SCALE_LIGHT = (
  "#2166ac",
  "#5a96c9",
  "#8ab6d9",
  "#b5d2e7",
  "#dbe8f1",
  "#f5f5f3",
  "#fbe4d1",
  "#f7c79c",
  "#eca46c",
  "#dd8244",
  "#a8480f",
)
_SCALE_DARK = (
  "#74b9f5",
  "#4a90cc",
  "#336d9f",
  "#26517a",
  "#20384f",
  "#252a30",
  "#47301f",
  "#6d4222",
  "#955724",
  "#c4712f",
  "#f7a363",
)
_ON_LIGHT = ("w", *"kkkkkkkkk", "w")
_ON_DARK = ("k", "k", *"wwwwwww", "k", "k")


def _number_colour(shade: str, step: int) -> str:
  """White or black text, each step's a little different from the others'."""
  return f"#f9fbf{step:x}" if shade == "w" else f"#14181{step:x}"


for _step in range(STEPS):
  LIGHT[f"scale-{_step}"] = _SCALE_LIGHT[_step]
  DARK[f"scale-{_step}"] = _SCALE_DARK[_step]
  LIGHT[f"on-{_step}"] = _number_colour(_ON_LIGHT[_step], _step)
  DARK[f"on-{_step}"] = _number_colour(_ON_DARK[_step], _step)


def variables(colours: dict[str, str]) -> str:
  """CSS declarations of the colours: "--ink: #1b2026; ..."."""
  return " ".join(f"--{name}: {value};" for name, value in colours.items())


def themed(svg: str) -> str:
  """Replaces the light colours of a drawing by their CSS variables."""
  names = {value: name for name, value in LIGHT.items()}

  def replace(match: re.Match[str]) -> str:
    name = names.get(match[0].lower())
    return f"var(--{name})" if name else match[0]

  return re.sub(r"#[0-9a-fA-F]{6}\b", replace, svg)


def step_of(value: float, limit: float) -> int:
  """The step of the scale for a signed value; the ends take what is beyond."""
  place = round((value / limit + 1) / 2 * (STEPS - 1))
  return min(max(place, 0), STEPS - 1)
