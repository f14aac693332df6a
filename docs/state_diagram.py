"""
What does the table of states look like?  Draws C{twisted_utp/proto/states.py}, as text and as a picture::

    python docs/state_diagram.py

writes C{docs/states.txt} and C{docs/pictures/states.svg}, which C{docs/protocol.rst} shows.  Where the boxes stand is
said here, what leads where is the table's; tests compare both files with what this gives, and the table with what
connections do.
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

from twisted_utp.proto.states import GUARDS, TRANSITIONS, Input, State

DOCS = Path(__file__).resolve().parent

# Column and row of each box.  Our closing goes down on the left, the peer's on the right.
PLACES = {
    State.SYN_SENT: (0, 0),
    State.ESTABLISHED: (1, 0),
    State.SYN_RECEIVED: (2, 0),
    State.FIN_WAIT_1: (0, 2),
    State.CLOSE_WAIT: (2, 2),
    State.FIN_WAIT_2: (0, 3),
    State.CLOSING: (1, 3),
    State.LINGERING: (1, 4),
    State.CLOSED: (1, 5),
}
WIDTH, HEIGHT, ACROSS, DOWN, MARGIN = 150, 40, 280, 90, 20

LABELS = {
    Input.PEER_CONFIRMED: "peer confirmed",
    Input.FIN_SENT: "our FIN sent",
    Input.FIN_ACKED: "our FIN acknowledged",
    Input.PEER_FIN: "peer's FIN",
    Input.EXPIRED: "wait over",
}
ENDS = {Input.RESET: State.CLOSED, Input.ABORT: State.CLOSED, Input.GIVE_UP: State.CLOSED}


def arrows() -> list[tuple[State, Input, State]]:
    """
    The transitions that are drawn: all but the sudden ends, which every state has.

    @raise ValueError: when a state lacks one of these, because then the note below the picture would lie.
    """
    found = []
    for state, row in TRANSITIONS.items():
        if state is not State.CLOSED and any(row.get(what) is not end for what, end in ENDS.items()):
            raise ValueError(f"{state.name}: cannot be ended at once")
        found += [(state, what, following) for what, following in row.items() if what not in ENDS]
    return found


def as_text() -> str:
    """
    A paragraph for each state: what it means, what leads where, and which timer ends it when nothing comes any more.
    """
    lines = []
    for state in State:
        lines.append(f"{state.name}: {state.value}")
        for before, what, following in arrows():
            if before is state:
                lines.append(f"    {what.value:<58} -> {following.name}")
        if GUARDS[state]:
            lines.append(f"    timer: {' or '.join(timer.name for timer in sorted(GUARDS[state]))}")
        lines.append("")
    sudden = ", ".join(what.value for what in ENDS)
    return "\n".join([*lines, f"From every state: {sudden} -> CLOSED", ""])


def _corner(state: State) -> tuple[int, int]:
    column, row = PLACES[state]
    return MARGIN + column * ACROSS, MARGIN + row * DOWN


def _arrow(before: State, what: Input, following: State) -> str:
    """
    A line from the edge of one box to the edge of the other, with its label beside it.
    """
    (x1, y1), (x2, y2) = _corner(before), _corner(following)
    if y1 == y2:
        start = (x1 + WIDTH if x2 > x1 else x1, y1 + HEIGHT // 2)
        end = (x2 if x2 > x1 else x2 + WIDTH, y2 + HEIGHT // 2)
    else:
        start, end = (x1 + WIDTH // 2, y1 + HEIGHT), (x2 + WIDTH // 2, y2)
    x, y = (start[0] + end[0]) // 2, (start[1] + end[1]) // 2 - 4
    line = f'<line x1="{start[0]}" y1="{start[1]}" x2="{end[0]}" y2="{end[1]}" marker-end="url(#tip)"/>'
    label = f'x="{x}" y="{y}">{escape(LABELS[what])}</text>'
    return f'{line}\n<text class="label halo" {label}\n<text class="label" {label}'


def as_svg() -> str:
    """
    A picture.
    """
    width = MARGIN * 2 + ACROSS * 2 + WIDTH
    height = MARGIN * 2 + DOWN * 5 + HEIGHT + 30
    boxes = []
    for state in State:
        x, y = _corner(state)
        boxes.append(f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="8"/>')
        boxes.append(f'<text x="{x + WIDTH // 2}" y="{y + 25}">{state.name}</text>')
    note = f"From every state: {', '.join(what.value for what in ENDS)}: CLOSED"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
            f'width="{width}" height="{height}">',
            "<style>text { font: 14px sans-serif; text-anchor: middle } .label { font-size: 12px; fill: #444 }",
            ".halo { stroke: white; stroke-width: 4px } rect { fill: #eef4fa; stroke: #456 }",
            "line { stroke: #456; stroke-width: 1.5 }</style>",
            '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8"',
            'orient="auto"><path d="M0 0L10 5L0 10z" fill="#456"/></marker></defs>',
            f'<rect width="{width}" height="{height}" style="fill: white; stroke: none"/>',
            *[_arrow(*arrow) for arrow in arrows()],
            *boxes,
            f'<text class="label" x="{width // 2}" y="{height - 15}">{escape(note)}</text>',
            "</svg>",
            "",
        ]
    )


FILES = {"states.txt": as_text, "pictures/states.svg": as_svg}


def main() -> None:
    """
    Write both files.
    """
    for name, draw in FILES.items():
        (DOCS / name).write_text(draw(), "utf-8")


if __name__ == "__main__":
    main()
