"""``mxnetseg sweep``: the trials of a wandb sweep file one after the other on this machine, without wandb's server.

wandb's own package ``sweeps`` checks the file and chooses the parameters, wandb's own function fills in the command:
``wandb sweep FILE`` and ``wandb agent`` run the same file where there is a server.
"""

from __future__ import annotations

import argparse
import datetime
import json
import random
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import count, natural
from .catalog import CONFIGS
from .errors import ConfigError, suggest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["EXAMPLES", "HELP", "Sweep", "add_arguments", "read_sweep", "run"]

HELP = "Train many times with other parameters, as a wandb sweep file says, on this machine and without a server."
EXAMPLES = """\
mxnetseg sweep lr                                            # configs/sweeps/lr.yaml, all of its grid
mxnetseg sweep configs/sweeps/recipe.yaml --count 10
mxnetseg sweep lr --out /tmp/lr train.epochs=2 log.images=0  # key=value for every trial
"""
_STATES = {0: "finished", 130: "killed", 143: "killed", -2: "killed", -15: "killed"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("file", metavar="FILE", help="wandb sweep file, or the name of one in configs/sweeps")
    add("--count", type=count, metavar="N", help="trials; a grid's own number when empty")
    add("--out", metavar="DIR", help="folder of all trials (runs/sweep_<file>_<time>)")
    add("--seed", type=natural, default=0, metavar="N", help="seed of random parameters (0)")
    add("--json", action="store_true", help="print JSON instead of the table")
    add("overrides", nargs="*", metavar="key=value", help="configuration keys for every trial, after the parameters")


def run(args: argparse.Namespace) -> int:
    """Run the trials; 1 if one of them failed, 130 after Ctrl-C."""
    source = _find(args.file)
    settings = read_sweep(source)
    number = args.count or settings.get("run_cap")
    if settings["method"] != "grid" and not number:
        raise ConfigError(f"{source.name} searches by {settings['method']}, without an end", remedy="add --count N")
    if "early_terminate" in settings:
        print("early_terminate needs wandb's server: trials run to their end", file=sys.stderr)
    stem = f"sweep_{source.stem}_{datetime.datetime.now():%Y%m%d_%H%M%S}"
    sweep = Sweep(settings, Path(args.out or Path("runs") / stem), stem, args.overrides)
    code = sweep.search(number, args.seed)
    print(json.dumps(sweep.record(), indent=1) if args.json else sweep.table())
    return code


def _find(name: str) -> Path:
    folder = CONFIGS / "sweeps"
    for path in (Path(name), folder / f"{Path(name).stem}.yaml"):
        if path.is_file():
            return path
    known = [path.stem for path in sorted(folder.glob("*.yaml"))]
    raise ConfigError(f"no sweep file {name}", f"a YAML file, or one of {', '.join(known)}", suggest(name, known))


def read_sweep(path: Path) -> dict[str, Any]:
    """Settings of a sweep file, checked by wandb's own schema.

    Raises
    ------
    ConfigError
        If the file is no sweep, has no ``metric`` or no ``command``.
    """
    from .config import read_yaml

    settings = read_yaml(path)
    wrong = _sweeps().schema_violations_from_proposed_config(settings)
    if missing := [key for key in ("command", "metric") if key not in settings]:
        wrong = [*wrong, f"no {' and no '.join(missing)}"]
    if wrong:
        raise ConfigError(f"{path}: {'; '.join(wrong)}", "a wandb sweep file such as configs/sweeps/lr.yaml")
    return settings


def _sweeps() -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):  # names of pydantic 1
            import sweeps
    except ImportError as error:
        remedy = "pip install -r requirements-sweeps.txt, or pip install 'mxnetseg[sweeps]'"
        raise ConfigError(f"wandb's package sweeps: {error}", "the optional part `sweeps`", remedy) from error
    return sweeps


class Sweep:
    """Trials of a sweep, in processes of their own.

    Parameters
    ----------
    settings : dict
        Sweep file, see :func:`read_sweep`.
    out : Path
        Folder of the trials' runs and weights, and of ``sweep.json``.
    group : str
        Group of the trials in wandb.
    overrides : sequence of str
        ``key=value`` for every trial.

    Attributes
    ----------
    trials : list of dict
        Name, parameters, state, best value of the metric (None without one) and all validations of each trial.
    """

    def __init__(self, settings: dict[str, Any], out: Path, group: str, overrides: Sequence[str]):
        self.settings, self.out, self.group, self.overrides = settings, out, group, overrides
        self.metric, self.goal = settings["metric"]["name"], settings["metric"].get("goal", "minimize")
        self.trials: list[dict[str, Any]] = []

    def search(self, number: int | None, seed: int) -> int:
        """Run up to `number` trials, or the whole grid; return the exit code.

        Raises
        ------
        ConfigError
            If the folder holds another sweep.
        """
        import numpy as np

        if (self.out / "sweep.json").exists():
            raise ConfigError(f"{self.out} holds another sweep", "a new folder", "--out DIR, or remove that sweep")
        random.seed(seed)
        np.random.seed(seed)
        self.out.mkdir(parents=True, exist_ok=True)
        for parameters in self._choices(number):
            name = f"trial-{len(self.trials) + 1:03d}"
            print(f"{name}: {_words(parameters)}", file=sys.stderr, flush=True)
            code = self._train(name, parameters)
            self.trials.append(self._outcome(name, parameters, code))
            (self.out / "sweep.json").write_text(json.dumps(self.record(), indent=1), encoding="utf-8")
            if _STATES.get(code) == "killed":
                return 130
            if code == 2:  # what is typed wrong for one trial is wrong for all of them
                return 2
        return int(any(trial["state"] != "finished" for trial in self.trials))

    def _choices(self, number: int | None) -> Iterator[dict[str, Any]]:
        """Parameters of one trial after the other; what wandb chooses next depends on the trials before."""
        sweeps = _sweeps()
        while number is None or len(self.trials) < number:
            past = [
                sweeps.SweepRun(
                    name=trial["name"],
                    state=trial["state"],
                    config={key: {"value": value} for key, value in trial["parameters"].items()},
                    summaryMetrics={self.metric: trial["value"]} if trial["value"] is not None else {},
                    history=trial["history"],
                )
                for trial in self.trials
            ]
            chosen = sweeps.next_run(self.settings, past)
            if chosen is None:
                return
            yield {key: entry["value"] for key, entry in chosen.config.items()}

    def command(self, name: str, parameters: dict[str, Any]) -> list[str]:
        """Command line of a trial: the sweep's own, with macros filled in, and what places the trial."""
        from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

        filled = create_sweep_command_args({"args": {key: {"value": value} for key, value in parameters.items()}})
        filled |= {"interpreter": [sys.executable], "env": ["/usr/bin/env"]}
        filled["program"] = [self.settings.get("program", "")]
        words: list[str] = []
        for word in map(str, create_sweep_command(list(self.settings["command"]))):
            words += filled.get(word[2:-1], [word]) if word.startswith("${") else [word]
        places = [f"train.runs_dir={self.out / name}", f"train.weights_dir={self.out / 'weights'}"]
        return [*words, *places, f"log.group={self.group}", *self.overrides]

    def _train(self, name: str, parameters: dict[str, Any]) -> int:
        with subprocess.Popen(self.command(name, parameters)) as process:
            try:
                return process.wait()
            except KeyboardInterrupt:  # the trial got it too, and saves before it ends
                return process.wait() or 130

    def _outcome(self, name: str, parameters: dict[str, Any], code: int) -> dict[str, Any]:
        lines = [line for log in (self.out / name).glob("*/log.jsonl") for line in log.read_text().splitlines()]
        events = [event for event in map(json.loads, lines) if event["event"] == "val"]
        history = [{self.metric: event[self.metric]} for event in events if event.get(self.metric) is not None]
        values = [row[self.metric] for row in history]
        best = (max if self.goal == "maximize" else min)(values, default=None)
        state = _STATES.get(code, "failed")
        return {"name": name, "parameters": parameters, "state": state, "value": best, "history": history}

    def best(self) -> dict[str, Any] | None:
        """Trial with the best value of the metric."""
        valued = [trial for trial in self.trials if trial["value"] is not None]
        choose = max if self.goal == "maximize" else min
        return choose(valued, key=lambda trial: trial["value"], default=None)

    def record(self) -> dict[str, Any]:
        """Everything about the sweep, for JSON."""
        best = self.best()
        facts = {"group": self.group, "metric": self.metric, "goal": self.goal, "best": best and best["name"]}
        return {**facts, "settings": self.settings, "trials": self.trials}

    def table(self) -> str:
        """Trials, and the best one, for people."""
        from .tools.listing import format_table

        rows = [
            {**trial["parameters"], "trial": trial["name"], "state": trial["state"], "value": _shown(trial["value"])}
            for trial in self.trials
        ]
        columns = {"trial": "trial", **{key: key for key in (self.trials or [{"parameters": {}}])[0]["parameters"]}}
        lines = [format_table(rows, {**columns, "value": self.metric, "state": "state"})]
        if best := self.best():
            lines.append(f"best {self.metric} {_shown(best['value'])}: {_words(best['parameters'])}")
        return "\n".join([*lines, f"all trials: {self.out / 'sweep.json'}"])


def _words(parameters: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in parameters.items())


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
