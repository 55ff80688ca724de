import numpy as np
import orjson

from recommender.page import Page


def test_pieces_are_written_side_by_side() -> None:
    """What all share, what each has of its own, and numbers wherever their codes are placed."""
    page = Page(2)
    page.each([b'[{"name":"a"', b',{"name":"b"'])
    page.all(b',"values":[')
    codes = page.numbers(np.array([[0.5, 1e-9], [-2.0, 3.0]]))
    page.place(codes[:, ::-1].repeat(2, axis=1)[:, :1])
    page.all(b"],")
    page.all(b'"count":')
    page.place(page.numbers(np.array([7, 8])))
    page.each([b"}", b"}]"])
    assert orjson.loads(page.written()) == [
        {"name": "a", "values": [1e-9], "count": 7},
        {"name": "b", "values": [3.0], "count": 8},
    ]


def test_numbers_are_looked_at_last() -> None:
    """They may be filled in after they were taken."""
    page, values = Page(2), np.zeros(2)
    page.place(page.numbers(values))
    page.all(b" ")
    values[:] = 1.5, 2.5
    assert page.written() == b"1.5 2.5 "


def test_no_pieces() -> None:
    """A list may be empty."""
    page = Page(0)
    page.each([])
    page.all(b"x")
    page.place(page.numbers(np.zeros(0)))
    assert page.written() == b""
