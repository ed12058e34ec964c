"""The watch screen: where you are, the verdict on what you saved last, and the keys for everything else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import Static
from textual.worker import WorkerFailed

from grader.commands import hints, history
from grader.commands.diff import diff_lines
from grader.commands.watching.desk import Desk, Event, Failed, Graded, Opened, Saved, Seen
from grader.commands.watching.dialogs import Choice, Chooser, Question, Reader
from grader.commands.watching.saves import GLANCE_SECONDS, Saves
from grader.commands.watching.views import View, drawn_at, scene_view, verdict_view
from grader.course.catalogue import headings
from grader.course.exercise import Exercise
from grader.errors import GraderError, UsageError
from grader.judge.results import Status
from grader.learner.history import Store
from grader.report.console import MARKS, NARROWEST, WRONG_MARK, Page, show_progress

HELP = """\
Open the exercise in your editor and save it: the verdict comes by itself.

  n    the next exercise that is not done
  l    the list of exercises; type to search, Enter opens one
  h    the next hint for where you are stuck
  d    your file beside the solution, once it has passed
  s    what your code does: the scene of this exercise
  r    put the original back; your text is kept
  u    every text that was graded or replaced; Enter brings one back
  a    grade all exercises
  e    other inputs, from a new seed
  q    quit

Where a text is longer than the screen: the arrow keys, Page Up and Page Down, or the mouse.
Esc closes what was opened. In a list, the arrow keys choose.

A save of another exercise opens that one. What the exercise imports is watched as well.
"""


class Told(Message):
    """Something that the desk tells."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event = event


class WatchScreen(App[None]):
    """Watches the files in `folder`. `options` are those with which a command is about the same folder."""

    ENABLE_COMMAND_PALETTE = False
    TITLE = "GPT Kata"
    CSS = """
    Screen { layout: vertical; }
    #where { height: auto; }
    #finding { height: 1fr; scrollbar-size-vertical: 1; }
    #finding Static { height: auto; width: 1fr; text-wrap: nowrap; }
    #keys { height: auto; text-style: reverse; }
    .old { text-style: dim; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "next", "next"),
        Binding("h", "hint", "hint"),
        Binding("l", "list", "list"),
        Binding("d", "diff", "diff"),
        Binding("s", "scene", "show"),
        Binding("u", "history", "undo"),
        Binding("r", "reset", "reset"),
        Binding("a", "all", "all"),
        Binding("e", "seed", "else", show=False),
        Binding("question_mark", "help", "help"),
        Binding("q,ctrl+c,ctrl+q", "quit", "quit"),
    ]

    def __init__(
        self, root: Path, folder: Path, store: Store, seed: int | None, name: str | None, options: str
    ) -> None:
        super().__init__(ansi_color=True)  # from the beginning: what NO_COLOR does is decided there
        self.theme = "ansi-dark"  # the colours of the terminal, on whatever it has for a background
        self.desk = Desk(root, folder, store, self._hear)
        self._root, self._folder, self._store = root, folder, store
        self._seed, self._opened_first, self._options = seed, name, options
        self._begun, self._ended = threading.Event(), threading.Event()
        self._header, self._finding, self._text = (
            Static(id="where"),
            VerticalScroll(id="finding"),
            Static(id="text"),
        )
        self._verdict: View | None = None
        self._scene: View | None = None
        self._status = ""
        self._note, self._note_is_new = "", False
        self._is_old = False

    @property
    def problem(self) -> BaseException | None:
        """What ended it, if it was not the person who sits before it."""
        return self._exception.error if isinstance(self._exception, WorkerFailed) else self._exception

    def _fatal_error(self) -> None:
        """End without the traceback that would be shown otherwise: whoever runs this says what was wrong."""
        self._close_messages_no_wait()

    def compose(self) -> ComposeResult:
        yield self._header
        with self._finding:
            yield self._text
        yield Static(_keys(self.BINDINGS), id="keys")

    def on_mount(self) -> None:
        self._finding.focus()
        self._draw_where()
        self._watch()

    def on_unmount(self) -> None:
        self._ended.set()
        self._begun.set()

    def on_resize(self) -> None:
        self._draw()

    @work(thread=True)
    def _watch(self) -> None:
        """Look at the files until the screen is closed."""
        saves = Saves(self._folder)
        self.desk.start(self._seed)
        self._begun.set()
        try:
            self.desk.open_exercise(self._opened_first or self.desk.first_open())
            while not self._ended.wait(GLANCE_SECONDS):
                names = saves.glance(self.desk.open_name)
                if names:
                    self.desk.saved(names)
        finally:
            self.desk.close()

    def on_told(self, message: Told) -> None:
        if self._ended.is_set():
            return
        match message.event:
            case Opened():
                self._verdict = self._scene = None
                self._be_old("being graded")
            case Saved():
                self._note, self._note_is_new = self._note if self._note_is_new else "", False
                self._scene = None
                self._be_old("saved, being graded")
            case Graded(exercise, result):
                if self._is_open(exercise):
                    self._verdict = verdict_view(message.event, self._folder, self.desk.seed, self._options)
                    self._status, self._is_old = "", False
                    if result.status is Status.PASSED:
                        self._status = "d compares it with the solution, n goes on"
            case Seen(exercise):
                if self._is_open(exercise):
                    self._scene = scene_view(message.event)
            case Failed(message=what):
                self._verdict = partial(_one_line, what)
                self._status, self._is_old = "", False
        self._draw()

    def action_next(self) -> None:
        self._open(self.desk.first_open())

    def action_all(self) -> None:
        self._status = "grading all exercises"
        self._draw_where()
        self._aside(self.desk.grade_all)

    def action_scene(self) -> None:
        if self.desk.open:
            self._status = "running its scene"
            self._draw_where()
            self._aside(partial(self.desk.look, self.desk.open))

    def action_seed(self) -> None:
        self._be_old("drawing other inputs")
        self._draw()
        self._aside(self.desk.draw_anew)

    def action_help(self) -> None:
        self.push_screen(Reader("Keys", Text(HELP)))

    def action_hint(self) -> None:
        if self.desk.open:
            name = self.desk.open.id
            self._read("Hint", lambda: hints.give_hint(self._root, name, None, self._folder, self._store))

    def action_diff(self) -> None:
        exercise = self.desk.open
        if exercise:
            has_passed = self.desk.standings.get(exercise.id) is Status.PASSED
            title = f"{exercise.id}: yours (-) and the solution (+)"
            self._read(title, lambda: list(diff_lines(exercise, self._folder, has_passed)))

    def action_list(self) -> None:
        choices = []
        for heading in headings(self._root):
            status = self.desk.standings.get(heading.id)
            mark, style = MARKS.get(status, WRONG_MARK) if status else (" ", "")
            line = Text.assemble((f"{mark} {heading.id:<16} ", style), f"{heading.title}, {heading.minutes} min")
            choices.append(Choice(heading.id, line))
        here = self.desk.open.id if self.desk.open else None
        self.push_screen(Chooser("Exercises", choices, here), self._open)

    def action_history(self) -> None:
        if self.desk.open and self._keeps():
            attempts = self._store.attempts(self.desk.open.id)[: history.HISTORY_LINES]
            choices = [Choice(str(each.id), Text(history.history_line(each))) for each in attempts]
            title = "Texts of yours, the newest first; Enter brings one back"
            self.push_screen(Chooser(title, choices), self._restore)

    def action_reset(self) -> None:
        if self.desk.open and self._keeps():
            name = self.desk.open.id
            question = f"Put the original of {name} back? Your text is kept, and `u` brings it back."
            self.push_screen(Question(question), partial(self._reset, name))

    def _keeps(self) -> bool:
        """Is what is replaced kept? If not, it is said, and nothing is replaced."""
        if not self.desk.keeps:
            self._say(lambda: "Only what is in exercises/ has a history.")
        return self.desk.keeps

    def _open(self, name: str | None) -> None:
        if name:
            self._aside(partial(self.desk.open_exercise, name))

    def _restore(self, number: str | None) -> None:
        if number:
            self._say(lambda: history.restore_attempt(self._root, int(number), self._folder, self._store))

    def _reset(self, name: str, is_wanted: bool | None) -> None:
        if is_wanted:
            self._say(lambda: history.reset_exercise(self._root, name, self._folder, self._store))

    def _say(self, act: Callable[[], str]) -> None:
        """Do something, and say what came of it. What it wrote is then seen as a save, the next one is not ours."""
        try:
            said = act()
        except (UsageError, GraderError) as error:
            said = str(error)
        self._note, self._note_is_new = said, True
        self._draw_where()

    def _read(self, title: str, lines: Callable[[], list[str] | list[tuple[str, str]]]) -> None:
        """Show lines, with or without a style of their own, on a screen to read."""
        text = Text()
        try:
            for line in lines():
                said, style = line if isinstance(line, tuple) else (line, "")
                text.append(f"{said}\n", style)
        except (UsageError, GraderError) as error:
            text = Text(str(error))
        self.push_screen(Reader(title, text))

    @work(thread=True)
    def _aside(self, act: Callable[[], None]) -> None:
        """Do what takes a while beside the screen, once everything has been started."""
        self._begun.wait()
        act()

    def _hear(self, event: Event) -> None:
        self.post_message(Told(event))

    def _is_open(self, exercise: Exercise) -> bool:
        return self.desk.open is not None and self.desk.open.id == exercise.id

    def _be_old(self, status: str) -> None:
        """What is shown is not about the newest text any more."""
        self._is_old, self._status = True, status

    def _draw(self) -> None:
        self._draw_where()
        self._text.set_class(self._is_old, "old")
        width = self._finding.content_region.width
        if width:
            views = [view for view in (self._verdict, self._scene) if view]
            drawn = [drawn_at(view, width, not self.no_color) for view in views]
            self._text.update(Text("\n").join(drawn))

    def _draw_where(self) -> None:
        width = max(NARROWEST, self.size.width)
        self._header.update(drawn_at(self._where, width, not self.no_color))

    def _where(self, page: Page) -> None:
        passed = sum(status is Status.PASSED for status in self.desk.standings.values())
        show_progress(page, passed, len(self.desk.ids))
        if self.desk.open:
            status = f"  ({self._status})" if self._status else ""
            page.line(f"{self.desk.open.id[:4]} {self.desk.open.title}{status}")
        if self._note:
            page.line(self._note, "yellow")


def _one_line(text: str, page: Page) -> None:
    page.line(text, "red")


def _keys(bindings: list[BindingType]) -> Text:
    """The keys, as few characters as can be read."""
    shown = []
    for binding in bindings:
        assert isinstance(binding, Binding)
        if binding.show:
            key = binding.key.partition(",")[0].replace("question_mark", "?")
            shown.append(f"{key} {binding.description}")
    return Text("  ".join(shown))
