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
    State.LAST_ACK: (2, 3),
    State.LINGERING: (1, 4),
    State.CLOSED: (1, 5),
}
WIDTH, HEIGHT, ACROSS, DOWN, MARGIN = 160, 44, 320, 100, 24
TITLE = 40

# How far along its arrow a label stands; in the middle, except where two arrows cross.
ALONG = {
    (State.ESTABLISHED, State.FIN_WAIT_1): 0.3,
    (State.SYN_RECEIVED, State.FIN_WAIT_1): 0.72,
    (State.ESTABLISHED, State.CLOSE_WAIT): 0.75,
}

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
    return MARGIN + column * ACROSS, MARGIN + TITLE + row * DOWN


def _below(before: State, following: State) -> bool:
    return PLACES[before][1] != PLACES[following][1]


def _along_edge(state: State, other: State, others: list[State]) -> int:
    """
    Where on a box's lower or upper edge the arrow to or from another one is: side by side, in the order of the others.
    """
    ordered = sorted(others, key=lambda one: (PLACES[one][0], -PLACES[one][1]))
    return _corner(state)[0] + WIDTH * (ordered.index(other) + 1) // (len(ordered) + 1)


def _ends(before: State, following: State) -> tuple[tuple[int, int], tuple[int, int]]:
    """
    Where an arrow starts and ends.
    """
    (x1, y1), (x2, y2) = _corner(before), _corner(following)
    if not _below(before, following):
        start = (x1 + WIDTH if x2 > x1 else x1, y1 + HEIGHT // 2)
        return start, (x2 if x2 > x1 else x2 + WIDTH, y2 + HEIGHT // 2)
    if x1 == x2:
        x = x1 + WIDTH // 2
        return (x, y1 + HEIGHT), (x, y2)
    leaving = [to for source, _, to in arrows() if source is before and _below(source, to)]
    coming = [source for source, _, to in arrows() if to is following and _below(source, to)]
    start = (_along_edge(before, following, leaving), y1 + HEIGHT)
    return start, (_along_edge(following, before, coming), y2)


def _arrow(before: State, what: Input, following: State) -> str:
    start, end = _ends(before, following)
    return f'<line x1="{start[0]}" y1="{start[1]}" x2="{end[0]}" y2="{end[1]}" marker-end="url(#tip)"/>'


def _label(before: State, what: Input, following: State) -> str:
    """
    On a white plate, so that no line runs through it.
    """
    start, end = _ends(before, following)
    along = ALONG.get((before, following), 0.5)
    x, y = (round(one + (other - one) * along) for one, other in zip(start, end, strict=True))
    text = LABELS[what]
    width = 7 * len(text) + 6
    plate = f'<rect class="plate" x="{x - width // 2}" y="{y - 9}" width="{width}" height="18"/>'
    return f'{plate}\n<text class="label" x="{x}" y="{y + 4}">{escape(text)}</text>'


def as_svg() -> str:
    """
    A picture.
    """
    width = MARGIN * 2 + ACROSS * 2 + WIDTH
    height = MARGIN * 2 + TITLE + DOWN * 5 + HEIGHT + 30
    boxes = []
    for state in State:
        x, y = _corner(state)
        boxes.append(f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="8"/>')
        boxes.append(f'<text x="{x + WIDTH // 2}" y="{y + 28}">{state.name}</text>')
    note = f"From every state: {', '.join(what.value for what in ENDS)}: CLOSED"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
            f'width="{width}" height="{height}">',
            "<title>States of a uTP connection</title>",
            "<style>text { font: 15px sans-serif; text-anchor: middle } .label { font-size: 13px; fill: #333 }",
            ".title { font-size: 18px } rect { fill: #eef4fa; stroke: #456 } .plate { fill: white; stroke: none }",
            "line { stroke: #456; stroke-width: 1.5 }</style>",
            '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8"',
            'orient="auto"><path d="M0 0L10 5L0 10z" fill="#456"/></marker></defs>',
            f'<rect width="{width}" height="{height}" style="fill: white; stroke: none"/>',
            f'<text class="title" x="{width // 2}" y="{MARGIN + 12}">States of a uTP connection</text>',
            *[_arrow(*arrow) for arrow in arrows()],
            *[_label(*arrow) for arrow in arrows()],
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
