"""The watch screen, driven as a person would."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import OptionList, Static
from textual.worker import WorkerFailed

from grader.commands.watching.dialogs import Chooser, Question, Reader
from grader.commands.watching.screen import HELP, WatchScreen
from grader.learner.history import Store
from tests.mini import ID, SOLUTION, with_body
from tests.watching.conftest import ANOTHER

WRONG = with_body("return x * 3")


class Person:
    """Who sits before the screen, and has an editor open beside it."""

    def __init__(self, app: WatchScreen, pilot: Pilot[None], folder: Path) -> None:
        self.app, self.pilot, self.folder = app, pilot, folder

    def save(self, text: str, name: str = ID) -> None:
        (self.folder / f"{name}.py").write_text(text, encoding="utf-8")

    def read(self) -> str:
        """What stands on the screen."""
        width = self.app.size.width
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text[:width].rstrip() for strip in strips)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def sees(self, *words: str, seconds: float = 20.0) -> str:
        """Wait until all of this stands there."""
        for _ in range(int(seconds / 0.05)):
            await self.pilot.pause(0.05)
            screen = self.read()
            if all(word in screen for word in words):
                return screen
        raise AssertionError(f"waited in vain for {words} on:\n{self.read()}")

    async def is_at(self, kind: type[Screen[object]]) -> None:
        for _ in range(200):
            await self.pilot.pause(0.02)
            if isinstance(self.app.screen, kind):
                return
        raise AssertionError(f"{self.app.screen} is no {kind.__name__}")


Story = Callable[[Person], Awaitable[None]]


@pytest.fixture
def watched(two: Path, store: Store) -> Callable[..., None]:
    """Play a story on a screen of this size."""

    def play(story: Story, size: tuple[int, int] = (80, 24), folder: str = "exercises") -> None:
        async def run() -> None:
            app = WatchScreen(two, two / folder, store, 17, None, "")
            async with app.run_test(size=size) as pilot:
                await story(Person(app, pilot, two / folder))

        asyncio.run(run())

    return play


def test_save_fail_hint_fix_pass_next(watched: Callable[..., None]) -> None:
    async def story(person: Person) -> None:
        await person.sees("0 of 2 done", "ex00 Mini", "`double` is still to be written")
        person.save(WRONG)
        await person.sees("✗ ex00_mini", "You triple.", "expected", "yours", "check ex00 --seed 17")
        await person.press("h")
        await person.sees("ex00_mini, double, hint 1 of 3", "one", "Again for the next one")
        await person.press("escape")
        await person.press("h")
        await person.sees("hint 2 of 3")
        await person.press("escape")
        await person.press("d")
        await person.sees("has not passed as it is now")
        await person.press("escape")
        person.save(SOLUTION.replace("return x * 2", "return x + x"))
        await person.sees("1 of 2 done", "✓ ex00_mini", "3 checks passed", "twice two is 4", "n goes on")
        await person.press("d")
        await person.sees("-    return x + x", "+    return x * 2")
        await person.press("escape")
        await person.press("n")
        await person.sees("ex01 Mini", "still to be written")

    watched(story)


def test_list_search_and_jump(watched: Callable[..., None]) -> None:
    async def story(person: Person) -> None:
        await person.sees("still to be written")
        await person.press("l")
        await person.sees("ex00_mini", "ex01_another", "Enter chooses")
        await person.press(*"noth")
        screen = await person.sees("ex01_another")
        assert "ex00_mini" not in screen
        await person.press("enter")
        await person.sees("ex01 Mini", "ex01_another     not finished")
        await person.press("l", "up", "enter")
        await person.sees("ex00 Mini", "ex00_mini        not finished")
        await person.press("l")
        await person.is_at(Chooser)
        await person.press(*"nothing like that", "enter", "escape")
        await person.sees("ex00 Mini")

    watched(story)


def test_the_mouse_chooses_too(watched: Callable[..., None]) -> None:
    async def story(person: Person) -> None:
        await person.sees("still to be written")
        await person.press("l")
        await person.is_at(Chooser)
        await person.pilot.pause(0.1)
        await person.pilot.click(OptionList, offset=(5, 1))
        await person.sees("ex01 Mini")

    watched(story)


def test_reset_undo_restore(watched: Callable[..., None], two: Path) -> None:
    path = two / "exercises" / f"{ID}.py"
    stub = path.read_text()

    async def story(person: Person) -> None:
        await person.sees("still to be written")
        person.save(WRONG)
        await person.sees("You triple.")
        await person.press("r")
        await person.is_at(Question)
        await person.press("n")
        await person.sees("You triple.")
        assert path.read_text() == WRONG
        await person.press("r")
        await person.is_at(Question)
        await person.press("y")
        await person.sees("is as it was at the beginning", "still to be written", seconds=8)
        assert path.read_text() == stub
        await person.press("u")
        await person.sees("kept before reset", "wrong, 2 of 3 checks, seed 17")
        await person.press("enter")
        await person.sees("You triple.")
        assert path.read_text() == WRONG

    watched(story)


def test_in_another_folder_nothing_is_replaced(watched: Callable[..., None], two: Path) -> None:
    (two / "mine").mkdir()
    path = two / "mine" / f"{ID}.py"
    path.write_text(WRONG)

    async def story(person: Person) -> None:
        await person.sees("You triple.")
        for key in "ru":
            await person.press(key)
            await person.sees("Only what is in exercises/ has a history.")
        assert path.read_text() == WRONG

    watched(story, folder="mine")


def test_another_seed_and_all(watched: Callable[..., None]) -> None:
    async def story(person: Person) -> None:
        person.save(SOLUTION, ANOTHER)
        person.save(WRONG)
        await person.sees("✗ ex00_mini", "--seed 17")
        await person.press("e")
        for _ in range(200):
            await person.pilot.pause(0.05)
            if "--seed" in person.read() and "--seed 17" not in person.read():
                break
        await person.sees(f"--seed {person.app.desk.seed}")
        await person.press("a")
        await person.sees("1 of 2 done")

    watched(story)


def test_help_names_every_key(watched: Callable[..., None]) -> None:
    async def story(person: Person) -> None:
        await person.press("question_mark")
        await person.is_at(Reader)
        await person.sees("the next exercise that is not done", "Esc closes")
        for binding in WatchScreen.BINDINGS:
            key = binding.key.partition(",")[0]  # type: ignore[union-attr]
            assert key == "question_mark" or f"\n  {key}    " in HELP
        await person.press("escape")
        await person.sees("still to be written")

    watched(story)


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
def test_it_is_quitted_and_leaves_nothing(watched: Callable[..., None], key: str) -> None:
    apps: list[WatchScreen] = []

    async def story(person: Person) -> None:
        apps.append(person.app)
        await person.sees("still to be written")
        await person.press(key)
        for _ in range(100):
            await asyncio.sleep(0.05)
            if not person.app.is_running:
                return
        raise AssertionError("it goes on")

    watched(story)
    assert apps[0].return_code == 0
    assert not apps[0].desk._worker._thread.is_alive()
    assert not apps[0].desk._ahead._thread.is_alive()


@pytest.mark.parametrize("where", ["beside", "on the screen"])
def test_an_error_of_ours_ends_it_without_a_traceback(
    two: Path, store: Store, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(app: WatchScreen) -> None:
        with pytest.raises((ValueError, WorkerFailed)):
            async with app.run_test(size=(80, 24)) as pilot:
                person = Person(app, pilot, two / "exercises")
                await person.sees("still to be written")
                if where == "beside":
                    app.desk.grade_all = fail  # type: ignore[method-assign]
                    await person.press("a")
                else:
                    app.action_help = fail  # type: ignore[method-assign]
                    await person.press("question_mark")
                await pilot.pause(2)

    def fail() -> None:
        raise ValueError("ours")

    app = WatchScreen(two, two / "exercises", store, 17, None, "")
    asyncio.run(run(app))
    assert isinstance(app.problem, ValueError) and str(app.problem) == "ours"
    assert app.return_code == 1
    assert "Traceback" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("size", [(80, 24), (40, 12), (120, 50), (20, 5)])
def test_any_size_can_be_read(watched: Callable[..., None], size: tuple[int, int]) -> None:
    async def story(person: Person) -> None:
        await person.sees("ex00")
        person.save(WRONG)
        if size[1] > 5:
            await person.sees("ex00_mini", "wrong")
        assert all(len(line) <= size[0] for line in person.read().splitlines())

    watched(story, size)


def test_a_long_verdict_can_be_scrolled(watched: Callable[..., None]) -> None:
    async def story(person: Person) -> None:
        person.save(with_body("print(*range(300), sep='\\n'); return x * 3"))
        await person.sees("You triple.")
        assert "299" not in person.read()
        await person.press("end")
        await person.sees("299")
        await person.press("home")
        await person.sees("✗ ex00_mini")

    watched(story)


def test_what_is_shown_is_marked_as_old_while_a_newer_text_is_graded(watched: Callable[..., None]) -> None:
    async def story(person: Person) -> None:
        await person.sees("still to be written")
        person.save("import time\ntime.sleep(1)\n" + WRONG)
        await person.sees("saved, being graded")
        assert person.app.query_one("#text", Static).has_class("old")
        screen = await person.sees("You triple.")
        assert "being graded" not in screen
        assert not person.app.query_one("#text", Static).has_class("old")

    watched(story)
