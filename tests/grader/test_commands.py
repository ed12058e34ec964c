"""The command line as a person meets it: real processes, the real exercises, exit codes, one clear line."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import psutil
import pytest

from grader.course import catalogue
from grader.learner.history import Store
from tests.signals import answer_as_at_a_terminal

Command = Callable[..., subprocess.CompletedProcess[str]]
FIRST = "ex00_tensors"


@pytest.fixture(scope="module")
def stubs(checkout: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (checkout / "exercises").glob("ex*.py")}


@pytest.fixture(autouse=True)
def fresh_exercises(checkout: Path, stubs: dict[Path, bytes]) -> Iterator[None]:
    """Every test begins with untouched stubs and without a history."""
    yield
    for path, stub in stubs.items():
        path.write_bytes(stub)
    shutil.rmtree(checkout / ".grader", ignore_errors=True)


def solve(checkout: Path, exercise: str) -> Path:
    return Path(shutil.copy(checkout / "solutions" / f"{exercise}.py", checkout / "exercises"))


def tree(folder: Path) -> dict[str, bytes]:
    parts = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path): path.read_bytes() for path in parts if not {"__pycache__", ".grader"} & set(path.parts)}


def test_a_newcomer_is_told_what_to_open(command: Command, checkout: Path) -> None:
    done = command()
    assert done.returncode == 1
    assert f"0 of {len(catalogue.exercise_ids(checkout))} done" in done.stdout
    assert f"{FIRST}.py" in done.stdout
    assert "Read the lesson at its top, then write `softmax`" in done.stdout
    assert done.stderr == ""
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_solved_exercise_moves_the_bar(command: Command, checkout: Path) -> None:
    solve(checkout, FIRST)
    done = command()
    assert done.returncode == 1
    assert f"1 of {len(catalogue.exercise_ids(checkout))} done" in done.stdout
    assert "ex01_text.py" in done.stdout


def test_the_reference_passes_and_says_so_in_json(command: Command, checkout: Path) -> None:
    done = command("check", "--all", "--on", "solutions", "--format", "json", "--seed", "17")
    assert done.returncode == 0
    report = json.loads(done.stdout)
    assert report["version"] == 2
    assert report["seed"] == 17
    assert report["passed"] == report["total"] == len(catalogue.exercise_ids(checkout))
    assert set(report["protections"]) == {"files", "network", "processes", "reference-hidden", "memory"}
    statuses = {check["status"] for exercise in report["exercises"] for check in exercise["checks"]}
    assert statuses == {"passed"}


def test_the_same_report_as_junit(command: Command, checkout: Path) -> None:
    path = solve(checkout, FIRST)
    path.write_text(
        path.read_text(encoding="utf-8").replace("def accuracy(", "def accuracy(more, "), encoding="utf-8"
    )
    done = command("check", "0", "1", "--format", "junit")
    assert done.returncode == 1
    root = ElementTree.fromstring(done.stdout)
    suites = {suite.get("name"): suite for suite in root}
    assert set(suites) == {FIRST, "ex01_text"}
    assert suites[FIRST].find("testcase/error") is not None
    assert len(suites["ex01_text"].findall("testcase/failure")) == int(suites["ex01_text"].get("tests", "0"))


@pytest.mark.slow
def test_faults_in_some_exercises_leave_the_others_as_they_are(command: Command, checkout: Path) -> None:
    exercises = catalogue.load(checkout)
    ids = [exercise.id for exercise in exercises]
    texts = {name: solve(checkout, name) for name in ids}
    faults = {
        ids[0]: ("timeout", "while True: pass\n"),
        ids[1]: ("crashed", "import os; os._exit(0)\n"),
        ids[2]: ("unreadable", "def broken(:\n"),
    }
    for name, (_, code) in faults.items():
        path = texts[name]
        path.write_text(path.read_text(encoding="utf-8") + "\n" + code, encoding="utf-8")
    report = json.loads(command("check", "--all", "--format", "json").stdout)
    results = {entry["id"]: entry for entry in report["exercises"]}
    for name, (status, _) in faults.items():
        assert results[name]["status"] == status
    timeout = results[ids[0]]["checks"][0]
    assert timeout["line"] == len(texts[ids[0]].read_text(encoding="utf-8").splitlines())
    for exercise in exercises[3:]:
        expected = "blocked" if faults.keys() & exercise.imported.keys() else "passed"
        assert results[exercise.id]["status"] == expected
    assert {entry["status"] for entry in report["exercises"][3:]} == {"blocked", "passed"}


def test_hints_are_given_one_by_one(command: Command) -> None:
    outputs = [command("hint", "ex06", "causal_mask").stdout for _ in range(4)]
    for number, output in enumerate(outputs, 1):
        assert f"ex06_attention, causal_mask, hint {min(number, 3)} of 3" in output
    assert len(set(outputs)) == 3
    followed_by = ("Again for the next one.", "The next one is the whole solution.", "That was the last one")
    assert all(words in output for words, output in zip(followed_by, outputs, strict=False))
    assert "hint 1 of 3" in command("hint").stdout


def test_a_hint_is_for_what_went_wrong(command: Command, checkout: Path) -> None:
    path = solve(checkout, "ex06_attention")
    path.write_text(path.read_text(encoding="utf-8").replace("diagonal=1)", "diagonal=0)"), encoding="utf-8")
    assert command("check", "ex06").returncode == 1
    assert "causal_mask" in command("hint", "ex06").stdout


def test_history_restore_and_reset(command: Command, checkout: Path) -> None:
    path = solve(checkout, FIRST)
    command("check", "ex00")
    first = path.read_text(encoding="utf-8")
    second = first + "# second\n"
    path.write_text(second, encoding="utf-8")
    command("check", "ex00")
    history = command("history", "ex00").stdout
    assert history.count("passed") == 2
    assert "is as it was at the beginning" in command("reset", "ex00").stdout
    assert "NotImplementedError" in path.read_text(encoding="utf-8")
    assert command("restore", "1").returncode == 0
    assert path.read_text(encoding="utf-8") == first
    assert command("restore", "2").returncode == 0
    assert path.read_text(encoding="utf-8") == second
    assert "nothing to do" in command("restore", "2").stdout


def test_list_shows_the_last_verdicts(command: Command, checkout: Path) -> None:
    assert command("list").stdout.count("not begun") == len(catalogue.exercise_ids(checkout))
    solve(checkout, FIRST)
    command("check", "ex00")
    assert "passed" in command("list").stdout


def test_doctor_says_what_is_in_force(command: Command) -> None:
    done = command("doctor")
    assert done.returncode == 0
    assert "protections: files=" in done.stdout
    assert "torch" in done.stdout


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("check", "ex77"), "There is no exercise 'ex77'"),
        (("check",), "Name an exercise"),
        (("check", "ex00", "--on", "nowhere"), "There is no folder"),
        (("check", "ex00", "--on", "tutor"), "holds no exercise"),
        (("check", "ex00", "--seed", "minus"), "'--seed': It should be a whole number. "),
        (("check", "ex00", "--seed", "-1"), "seed"),
        (("check", "ex00", "--format", "pdf"), "'--format': 'pdf' is not one of"),
        (("chek",), "Did you mean 'check'? `"),
        (("restore", "one"), "grader restore --help`"),
        (("--colour",), "No such option"),
        (("fly",), "No such command"),
        (("restore", "99"), "There is no text number 99"),
        (("hint", "ex77"), "There is no exercise"),
        (("hint", "ex06", "nothing"), "has no function 'nothing'"),
        (("reset", "ex77"), "There is no exercise"),
        (("matrix", "ex77"), "There is no exercise"),
        (("matrix", "--format", "junit"), "text or json"),
    ],
)
def test_bad_input_gets_one_clear_line_and_changes_nothing(
    command: Command, checkout: Path, arguments: tuple[str, ...], said: str
) -> None:
    before = tree(checkout)
    done = command(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""
    assert tree(checkout) == before


@pytest.mark.parametrize(
    "file, old, new, said",
    [
        ("exercise", 'title = "Attention"', "title = ", "is not valid TOML"),
        ("causal_mask", 'find = "diagonal=1)"\nwith = "diagonal=0)"', 'find = "diagonal=9)"\nwith = ""', "0 times"),
    ],
)
def test_a_broken_tutor_file_gets_one_clear_line(
    command: Command, checkout: Path, file: str, old: str, new: str, said: str
) -> None:
    path = checkout / "tutor" / "ex06_attention" / f"{file}.toml"
    whole = path.read_text(encoding="utf-8")
    assert whole.count(old) == 1
    path.write_text(whole.replace(old, new), encoding="utf-8")
    try:
        done = command("check", "ex06", COLUMNS="400")
    finally:
        path.write_text(whole, encoding="utf-8")
    assert done.returncode == 3
    assert said in done.stdout and str(path) in done.stdout
    assert "not your fault" in done.stdout and not done.stderr


def test_a_folder_that_cannot_be_written_still_gets_its_verdict(command: Command, checkout: Path) -> None:
    (checkout / ".grader").write_text("a file where a folder should be")
    try:
        done = command("check", "ex06", "--format", "json")
    finally:
        (checkout / ".grader").unlink()
    report = json.loads(done.stdout)
    assert report["exercises"][0]["status"] == "unfinished"
    assert "could not be stored" in report["notices"][0]


def test_a_plain_console_is_enough(command: Command) -> None:
    done = command("check", "ex06", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert done.returncode == 1
    assert "?" not in done.stdout
    assert done.stdout.isascii()


@pytest.mark.slow
def test_the_path_without_fork_gives_the_same_verdicts(command: Command, checkout: Path) -> None:
    arguments = ("check", "ex00", "ex06", "--on", "solutions", "--seed", "3", "--format", "json")
    forked, spawned = command(*arguments), command(*arguments, GPT_KATA_WORKERS="spawn")
    assert spawned.returncode == 0

    def verdicts(text: str) -> list[tuple[str, str]]:
        checks = (check for entry in json.loads(text)["exercises"] for check in entry["checks"])
        return [(check["name"], check["status"]) for check in checks]

    assert verdicts(spawned.stdout) == verdicts(forked.stdout)


def start_on_a_hanging_exercise(checkout: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """`python -m grader …` with a first exercise that leaves a file `hangs` in its folder and does not end."""
    path = checkout / "exercises" / f"{FIRST}.py"
    hanging = "\nopen('hangs', 'w').close()\nwhile True: pass\n"
    path.write_text(path.read_text(encoding="utf-8") + hanging, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-m", "grader", *arguments],
        cwd=checkout,
        env={**os.environ, "GPT_KATA_NO_BOOTSTRAP": "1", "PYTHONUTF8": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=answer_as_at_a_terminal,
    )


# Without fork nothing outlives the grader to tidy up after a `kill -9`.
@pytest.mark.skipif(sys.platform != "linux", reason="the zygote, and TMPDIR")
@pytest.mark.parametrize(
    ("end", "workers"),
    [("SIGINT", "fork"), pytest.param("SIGINT", "spawn", marks=pytest.mark.slow), ("SIGKILL", "fork")],
)
def test_however_it_ends_no_process_and_no_file_is_left(
    checkout: Path, tmp_path: Path, end: str, workers: str
) -> None:
    process = start_on_a_hanging_exercise(
        checkout, "check", "--all", TMPDIR=str(tmp_path), GPT_KATA_WORKERS=workers
    )
    grader = psutil.Process(process.pid)
    while not list(tmp_path.rglob("hangs")):
        assert process.poll() is None
        time.sleep(0.02)
    started = grader.children(recursive=True)
    process.send_signal(signal.Signals[end])
    process.communicate(timeout=60)
    _, alive = psutil.wait_procs(started, timeout=60)
    assert not alive
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="SIGINT")
def test_ctrl_c_is_answered_and_the_text_is_kept(checkout: Path, command: Command) -> None:
    process = start_on_a_hanging_exercise(checkout)
    assert process.stdout
    process.stdout.readline()
    store = Store(checkout / ".grader" / "progress.sqlite3")
    while not store.attempts():
        time.sleep(0.05)
    store.close()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.startswith("grader: stopped.")
    assert len(errors.splitlines()) == 1
    assert "grading was cut off" in command("history").stdout


def test_stubs_follow_from_solutions_and_drift_fails(command: Command, checkout: Path) -> None:
    assert command("stubs", "--check").returncode == 0
    path = checkout / "exercises" / "ex06_attention.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("WHY", "Why", 1), encoding="utf-8")
    line = text[: text.index("WHY")].count("\n") + 1
    done = command("stubs", "--check")
    assert done.returncode == 1
    assert f"ex06_attention.py:{line} is not what its solution gives" in done.stdout
    assert command("stubs").returncode == 0
    assert command("stubs", "--check").returncode == 0


@pytest.mark.parametrize(
    "option", [("--on", "solutions"), ("--format", "json"), ("--seed", "3"), ("--require", "strict")]
)
def test_an_option_in_front_of_the_command_is_refused(command: Command, option: tuple[str, str]) -> None:
    done = command(*option, "check", "ex00")
    assert done.returncode == 2
    assert f"Write {option[0]} behind the command: `python3 -m grader check" in done.stderr


def test_the_next_commands_keep_the_folder(command: Command, checkout: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(checkout / "solutions", folder)
    path = folder / "ex06_attention.py"
    path.write_text(path.read_text(encoding="utf-8").replace("diagonal=1)", "diagonal=0)"), encoding="utf-8")
    shown = command("check", "ex06", "--on", str(folder), "--seed", "5").stdout
    there = os.path.relpath(folder, checkout)
    shown = " ".join(shown.split())
    assert f"replay python3 -m grader check ex06 --on {there} --seed 5" in shown
    assert f"Stuck: python3 -m grader hint ex06 --on {there}" in shown
    path.write_text(path.read_text(encoding="utf-8").replace("return torch.triu", "raise NotImplementedError #"))
    assert "causal_mask, hint 1" in command("hint", "ex06", "--on", there).stdout


def test_a_hint_for_a_class_names_its_methods(command: Command) -> None:
    done = command("hint", "ex06", "CausalAttention")
    assert done.returncode == 2
    assert "CausalAttention.__init__ or CausalAttention.forward" in done.stderr
    assert "CausalAttention.forward, hint 1 of 3" in command("hint", "ex06", "CausalAttention.forward").stdout


def test_every_help_has_examples_and_nothing_in_it_is_cut(command: Command) -> None:
    listed = command("--help").stdout.partition("Commands:")[2].partition("For instance:")[0]
    assert "..." not in listed
    names = re.findall(r"^  (\w+) ", listed, re.MULTILINE)
    assert len(names) > 10
    for name in set(names) - {"selftest"}:  # that one wants tox, which these tests may run without
        text = command(name, "--help").stdout
        examples = re.findall(r"^    .*python3 -m grader (\w+)", text.partition("For instance:")[2], re.MULTILINE)
        assert examples and set(examples) == {name}, text


def test_the_list_is_aligned(command: Command) -> None:
    lines = command("list").stdout.splitlines()
    assert len({line.index(" min  ") for line in lines}) == 1


def test_a_broken_tutor_file_stops_its_exercise_only(command: Command, checkout: Path) -> None:
    path = checkout / "tutor" / "ex01_text" / "clean_text.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text("hints = [", encoding="utf-8")
    try:
        report = json.loads(command("check", "0", "1", "2", "--format", "json", "--on", "solutions").stdout)
        assert [entry["status"] for entry in report["exercises"]] == ["passed", "grader-error", "passed"]
        assert str(path) in report["exercises"][1]["message"]
    finally:
        path.write_text(text, encoding="utf-8")


def test_a_heading_that_cannot_be_read_is_named_in_the_list(command: Command, checkout: Path) -> None:
    path = checkout / "tutor" / "ex01_text" / "exercise.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text('title = "Text"', encoding="utf-8")
    try:
        listed = command("list", COLUMNS="400").stdout
        assert listed.count(" min  ") == len(catalogue.exercise_ids(checkout))
        assert f"{path}: the file needs 'minutes', a whole number." in listed
    finally:
        path.write_text(text, encoding="utf-8")


@pytest.mark.skipif(os.name == "nt", reason="pipes, links and devices as files")
def test_whatever_lies_in_the_folder_every_exercise_gets_its_verdict(
    command: Command, checkout: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "class"
    shutil.copytree(checkout / "solutions", folder)
    names = sorted(path.name for path in folder.glob("ex*.py"))[:8]
    pipe, link, device, huge, cookie, marks, imports, away = (folder / name for name in names)
    for path in (pipe, link, device):
        path.unlink()
    os.mkfifo(pipe)
    link.symlink_to(checkout / "solutions" / link.name)
    device.symlink_to("/dev/zero")
    with huge.open("wb") as file:
        file.truncate(1_500_000_000)
    cookie.write_bytes(b"# coding: latin-1\n# \xe9\n" + cookie.read_bytes().replace("…".encode(), b"."))
    marks.write_text(marks.read_text(encoding="utf-8") + "\n<<<<<<< HEAD\n", encoding="utf-8")
    imports.write_text(f"from .{'a' * 300} import x\n" + imports.read_text(encoding="utf-8"), encoding="utf-8")
    away.rename(folder / f"{away.stem} (1).py")
    (folder / "grader.py").write_text("raise SystemExit")
    (folder / "torch.py").write_text("raise SystemExit")
    done = command("check", *names, "ex12", "--on", str(folder), "--format", "json")
    assert (done.returncode, done.stderr) == (1, "")
    results = json.loads(done.stdout)["exercises"]
    expected = ["unreadable"] * 4 + ["passed", "unreadable", "raised", "unreadable", "passed"]
    said = ["named pipe", "a link", "a link", "more than", "", "mark of git's", "", f"`{away.stem} (1).py`", ""]
    assert [result["status"] for result in results] == expected
    assert all(words in (result["message"] or "") for words, result in zip(said, results, strict=True))
