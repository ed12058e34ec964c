"""What opens over the watch screen: a text to read, a list to choose from, a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

CLOSE: list[BindingType] = [Binding("escape", "close", "close"), Binding("ctrl+c", "app.quit", "quit")]
# Without frames: on a narrow terminal every column counts.
STYLE = """
    ModalScreen Vertical { layout: vertical; width: 100%; height: 100%; }
    ModalScreen VerticalScroll, ModalScreen OptionList { height: 1fr; }
    ModalScreen OptionList, ModalScreen OptionList:focus { border: none; padding: 0; scrollbar-size-vertical: 1; }
    ModalScreen Input, ModalScreen Input:focus { border: none; height: 1; padding: 0; margin: 1 0; }
    ModalScreen Static { height: auto; }
    ModalScreen VerticalScroll { margin: 1 0; scrollbar-size-vertical: 1; }
"""


@dataclass(frozen=True)
class Choice:
    """Something to choose: what it is called, and its line."""

    name: str
    line: Text


class Reader(ModalScreen[None]):
    """A text that is read, and closed."""

    BINDINGS = [*CLOSE, Binding("q,enter,space", "close", "close")]
    CSS = STYLE

    def __init__(self, title: str, text: Text) -> None:
        super().__init__()
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(self._title, "bold"))
            with VerticalScroll():
                yield Static(self._text)
            yield Static(Text("Esc closes", "dim"))

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def action_close(self) -> None:
        self.dismiss(None)


class Chooser(ModalScreen[str | None]):
    """A list with a search: what is typed has to stand in the line."""

    BINDINGS = [
        *CLOSE,
        Binding("down", "move(1)", "down", priority=True),
        Binding("up", "move(-1)", "up", priority=True),
        Binding("pagedown", "move(10)", "down", priority=True),
        Binding("pageup", "move(-10)", "up", priority=True),
    ]
    CSS = STYLE

    def __init__(self, title: str, choices: Sequence[Choice], here: str | None = None) -> None:
        super().__init__()
        self._title, self._choices, self._here = title, choices, here

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(self._title, "bold"))
            yield Input(placeholder="type to search")
            yield OptionList()
            yield Static(Text("Enter chooses, Esc closes", "dim"))

    def on_mount(self) -> None:
        self._fill("")
        self.query_one(Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._fill(event.value)

    def on_input_submitted(self) -> None:
        options = self.query_one(OptionList)
        if options.highlighted is not None:
            self.dismiss(options.get_option_at_index(options.highlighted).id)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)

    def action_move(self, by: int) -> None:
        options = self.query_one(OptionList)
        if options.option_count:
            options.highlighted = min(max(0, (options.highlighted or 0) + by), options.option_count - 1)

    def action_close(self) -> None:
        self.dismiss(None)

    def _fill(self, searched: str) -> None:
        options = self.query_one(OptionList)
        words = searched.casefold().split()
        found = [each for each in self._choices if all(word in each.line.plain.casefold() for word in words)]
        options.clear_options()
        options.add_options([Option(each.line, id=each.name) for each in found])
        names = [each.name for each in found]
        if found:
            options.highlighted = names.index(self._here) if self._here in names else 0


class Question(ModalScreen[bool]):
    """Yes or no."""

    BINDINGS = [
        *CLOSE,
        Binding("y,enter", "answer(True)", "yes"),
        Binding("n", "close", "no"),
    ]
    CSS = STYLE

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(self._question))
            yield Static(Text("y does it, n or Esc leaves everything as it is", "dim"))

    def action_answer(self, is_wanted: bool) -> None:
        self.dismiss(is_wanted)

    def action_close(self) -> None:
        self.dismiss(False)
