"""What is graded when, and what is told: the newest text, once, and never what an older one got."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grader.commands.watching.desk import Desk, Event, Failed, Graded, Opened, Saved, Seen
from grader.judge.results import Status
from grader.learner.history import Store
from grader.learner.submission import digest
from tests.mini import ID, SOLUTION, with_body
from tests.watching.conftest import ANOTHER


class Told:
    """What a desk told, in order."""

    def __init__(self) -> None:
        self.events: queue.Queue[Event] = queue.Queue()

    def next(self, kind: type[Event] | None = None, seconds: float = 60.0) -> Event:
        give_up = time.monotonic() + seconds
        while True:
            event = self.events.get(timeout=max(0.01, give_up - time.monotonic()))
            if kind is None or isinstance(event, kind):
                return event

    def verdict(self) -> Graded:
        event = self.next(Graded)
        assert isinstance(event, Graded)
        return event


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def desk(two: Path, store: Store, told: Told) -> Iterator[Desk]:
    opened = Desk(two, two / "exercises", store, told.events.put)
    opened.start(17)
    yield opened
    opened.close()


@pytest.fixture
def write(two: Path) -> Callable[..., None]:
    def save(text: str, name: str = ID) -> None:
        (two / "exercises" / f"{name}.py").write_text(text, encoding="utf-8")

    return save


def test_what_is_opened_is_graded(desk: Desk, told: Told) -> None:
    assert desk.first_open() == ID
    desk.open_exercise(ID)
    assert isinstance(told.next(), Opened)
    assert told.verdict().result.status is Status.UNFINISHED
    assert desk.standings == {ID: Status.UNFINISHED}


def test_a_save_is_graded_and_a_pass_shows_the_scene(desk: Desk, told: Told, write: Callable[..., None]) -> None:
    desk.open_exercise(ID)
    told.verdict()
    write(with_body("return x * 3"))
    desk.saved([ID])
    assert isinstance(told.next(), Saved)
    (first, *_) = told.verdict().result.checks
    assert first.mistakes == ("tripled",)
    write(SOLUTION)
    desk.saved([ID])
    assert told.verdict().result.status is Status.PASSED
    seen = told.next(Seen)
    assert isinstance(seen, Seen) and seen.problem == ""
    assert seen.panels[0].title == "Doubled"
    assert desk.first_open() == ANOTHER


def test_another_exercise_that_is_saved_is_opened(desk: Desk, told: Told, write: Callable[..., None]) -> None:
    desk.open_exercise(ID)
    told.verdict()
    write(SOLUTION, ANOTHER)
    desk.saved([ANOTHER])
    opened = told.next(Opened)
    assert isinstance(opened, Opened) and opened.exercise.id == ANOTHER
    assert told.verdict().result.status is Status.PASSED


def test_only_the_last_of_many_saves_is_told_at_the_end(desk: Desk, told: Told, write: Callable[..., None]) -> None:
    desk.open_exercise(ID)
    told.verdict()
    for number in range(40):
        write(with_body(f"return x * 3  # {number}"))
        desk.saved([ID])
        time.sleep(0.005)
    write(SOLUTION)
    desk.saved([ID])
    assert desk.wait(60)
    verdicts = [event for event in list(told.events.queue) if isinstance(event, Graded)]
    assert verdicts[-1].result.status is Status.PASSED
    assert all(verdict.result.status is not Status.PASSED for verdict in verdicts[:-1])


def test_a_text_that_changes_while_it_is_graded_gets_no_verdict_of_its_own(
    desk: Desk, told: Told, write: Callable[..., None]
) -> None:
    write("import time\ntime.sleep(1.5)\n" + with_body("return x * 3"))
    desk.open_exercise(ID)
    time.sleep(0.4)
    write(SOLUTION)  # and nobody says so
    found = told.verdict()
    assert found.result.status is Status.PASSED


def test_what_was_found_out_ahead_is_used_and_says_the_same(
    desk: Desk, told: Told, write: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.open_exercise(ID)
    before = told.verdict()
    assert before.result.status is Status.UNFINISHED
    assert desk.wait(60)
    bench = desk._session._bench(before.exercise)

    def run_nothing(*_: object) -> list[object]:
        raise AssertionError("a known mistake was run once more")

    monkeypatch.setattr(bench, "_run_candidates", lambda candidates: run_nothing() if candidates else [])
    write(with_body("return x * 3"))
    desk.saved([ID])
    (first, *_) = told.verdict().result.checks
    assert (first.mistakes, first.message) == (("tripled",), "You triple.")


def test_what_was_found_out_of_older_files_is_thrown_away(
    desk: Desk, told: Told, write: Callable[..., None], two: Path
) -> None:
    write(with_body("return x * 3"))
    desk.open_exercise(ID)
    assert told.verdict().result.checks[0].message == "You triple."
    assert desk.wait(60)
    path = two / "tutor" / ID / "double.toml"
    path.write_text(path.read_text().replace("You triple.", "You take it three times."))
    write(with_body("return x * 3  # saved"))
    desk.saved([ID])
    assert told.verdict().result.checks[0].message == "You take it three times."
    solution = two / "solutions" / f"{ID}.py"
    solution.write_text(solution.read_text().replace("x * 2", "x * 3"))
    path.write_text(
        path.read_text()
        .replace('"x * 2"', '"x * 3"')
        .replace('with = "x * 3"', 'with = "x * 4"')
        .replace('"return x * 2"', '"return x * 3"')
    )
    write(with_body("return x * 3  # saved again"))
    desk.saved([ID])
    assert told.verdict().result.status is Status.PASSED


def test_another_seed_gives_other_inputs(desk: Desk, told: Told, write: Callable[..., None]) -> None:
    write(with_body("return x * 3"))
    desk.open_exercise(ID)
    first = told.verdict().result.checks[0].difference
    seed = desk.seed
    desk.draw_anew()
    assert desk.seed != seed
    second = told.verdict().result.checks[0].difference
    assert first and second and first.expected != second.expected


def test_what_passed_earlier_counts_while_the_text_is_the_same(
    two: Path, store: Store, told: Told, desk: Desk, write: Callable[..., None]
) -> None:
    write(SOLUTION)
    desk.open_exercise(ID)
    told.verdict()
    again = Desk(two, two / "exercises", store, told.events.put)
    assert again.standings == {ID: Status.PASSED}
    write(with_body("return x * 3"))
    assert Desk(two, two / "exercises", store, told.events.put).standings == {}


def test_all_are_graded_on_request(desk: Desk, told: Told, write: Callable[..., None]) -> None:
    write(SOLUTION)
    write(SOLUTION, ANOTHER)
    desk.grade_all()
    assert {told.verdict().result.id, told.verdict().result.id} == {ID, ANOTHER}
    assert set(desk.standings.values()) == {Status.PASSED}


def test_another_folder_has_no_history(two: Path, store: Store, told: Told) -> None:
    (two / "mine").mkdir()
    (two / "mine" / f"{ID}.py").write_text(SOLUTION)
    desk = Desk(two, two / "mine", store, told.events.put)
    desk.start(17)
    try:
        desk.open_exercise(ID)
        assert told.verdict().result.status is Status.PASSED
        assert not desk.keeps and store.attempts() == []
    finally:
        desk.close()


def test_a_broken_tutor_file_is_said(desk: Desk, told: Told, two: Path) -> None:
    (two / "tutor" / ID / "double.toml").write_text("hints = [")
    desk.open_exercise(ID)
    failed = told.next(Failed)
    assert isinstance(failed, Failed)
    assert "double.toml is not valid TOML" in failed.message and "not your fault" in failed.message


def test_a_file_that_is_gone_is_said(desk: Desk, told: Told, two: Path) -> None:
    desk.open_exercise(ID)
    told.verdict()
    (two / "exercises" / f"{ID}.py").unlink()
    desk.saved([ID])
    result = told.verdict().result
    assert result.status is Status.UNREADABLE and "reset" in result.message


def test_each_save_is_kept(desk: Desk, told: Told, write: Callable[..., None], store: Store) -> None:
    desk.open_exercise(ID)
    told.verdict()
    texts = [with_body(f"return x * {number}") for number in (3, 4, 5)]
    for text in texts:
        write(text)
        desk.saved([ID])
        told.verdict()
    assert [attempt.digest for attempt in reversed(store.attempts(ID))] == list(map(digest, texts))
