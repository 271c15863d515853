"""The journal: order, torn records, bounds, and a reader in step with a writer."""

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modgate.storage import Journal, JournalError, JournalReader, Position


def read_all(folder: Path, position: Position | None = None) -> list[bytes]:
    reader = JournalReader(folder, position)
    try:
        return reader.read(1_000_000, 1 << 40)
    finally:
        reader.close()


def test_what_was_appended_is_read_in_order_across_segments(tmp_path: Path) -> None:
    """Records come back as they were written, whichever segment they are in."""
    journal = Journal(tmp_path, segment_bytes=4096)
    records = [f"record {i}".encode() * 20 for i in range(200)]
    for record in records:
        journal.append(record)
    assert read_all(tmp_path) == records
    assert len(list(tmp_path.glob("*.journal"))) > 5
    journal.close()


def test_reading_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """A reader made at another's position reads exactly the rest, also after a restart of the writer."""
    journal = Journal(tmp_path)
    for i in range(5):
        journal.append(b"%d" % i)
    reader = JournalReader(tmp_path)
    assert reader.read(3) == [b"0", b"1", b"2"]
    journal.close()
    journal = Journal(tmp_path)
    journal.append(b"5")
    assert read_all(tmp_path, reader.position) == [b"3", b"4", b"5"]
    reader.close()
    journal.close()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=8), st.data())
def test_a_torn_record_costs_nothing_but_itself(
    tmp_path_factory: pytest.TempPathFactory, records: list[bytes], data: st.DataObject
) -> None:
    """If a process dies within a write, every earlier record and everything after the restart is read."""
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal(folder)
    for record in records:
        journal.append(record)
    journal.close()
    segment = max(folder.glob("*.journal"))
    whole = segment.read_bytes()
    last = len(records[-1]) + 8
    cut = data.draw(st.integers(1, last))
    os.truncate(segment, len(whole) - cut)
    journal = Journal(folder)
    journal.append(b"after")
    journal.close()
    assert read_all(folder) == [*records[:-1], b"after"]


def test_a_flipped_bit_is_not_read(tmp_path: Path) -> None:
    """A record whose checksum does not fit is left out, and the next segment is read."""
    journal = Journal(tmp_path)
    journal.append(b"good")
    journal.append(b"evil")
    journal.close()
    segment = max(tmp_path.glob("*.journal"))
    segment.write_bytes(segment.read_bytes()[:-1] + b"L")
    journal = Journal(tmp_path)
    journal.append(b"next")
    reader = JournalReader(tmp_path)
    assert reader.read(10) == [b"good", b"next"]
    assert reader.torn == 1
    reader.close()
    journal.close()


def test_drained_segments_are_removed_and_the_newest_never(tmp_path: Path) -> None:
    """What lies before a position is deleted; numbers go on, so that positions stay comparable."""
    journal = Journal(tmp_path, segment_bytes=4096)
    for _ in range(100):
        journal.append(b"x" * 500)
    reader = JournalReader(tmp_path)
    reader.read(1000)
    journal.drained(reader.position)
    assert len(list(tmp_path.glob("*.journal"))) == 1
    assert journal.kept_bytes < 2 * 4096
    journal.append(b"more")
    assert reader.read(10) == [b"more"]
    reader.close()
    journal.close()


def test_a_full_journal_refuses_and_recovers(tmp_path: Path) -> None:
    """At its bound appending fails without harm, and goes on once there is room."""
    journal = Journal(tmp_path, segment_bytes=4096, max_bytes=10_000)
    written = 0
    while journal.kept_bytes <= 10_000:
        journal.append(b"x" * 500)
        written += 1
    with pytest.raises(JournalError, match="full"):
        journal.append(b"x")
    reader = JournalReader(tmp_path)
    assert len(reader.read(1000)) == written
    journal.drained(reader.position)
    journal.append(b"more")
    assert reader.read(10) == [b"more"]
    reader.close()
    journal.close()


def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    """Two gates never write to one journal."""
    journal = Journal(tmp_path)
    with pytest.raises(JournalError, match="in use"):
        Journal(tmp_path)
    journal.close()
    Journal(tmp_path).close()


def test_the_identity_survives_a_restart(tmp_path: Path) -> None:
    """The store recognises the journal by a name that is made once."""
    journal = Journal(tmp_path)
    journal.close()
    again = Journal(tmp_path)
    assert again.identity == journal.identity
    again.close()


def test_reading_while_writing_loses_nothing(tmp_path: Path) -> None:
    """A reader in another thread gets every record once, in order, while segments come and go."""
    journal = Journal(tmp_path, segment_bytes=4096)
    total = 3000

    def write() -> None:
        for i in range(total):
            journal.append(b"%d" % i)

    writer = threading.Thread(target=write)
    writer.start()
    reader = JournalReader(tmp_path)
    seen: list[bytes] = []
    while len(seen) < total:
        seen += reader.read(100)
        journal.drained(reader.position)
    writer.join()
    assert seen == [b"%d" % i for i in range(total)]
    reader.close()
    journal.close()


def test_a_folder_that_cannot_be_made_is_named_with_what_to_set(tmp_path: Path) -> None:
    """The operator learns which folder, why, and which setting."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(JournalError, match=r"storage\.folder"):
        Journal(tmp_path / "file" / "journal")


def test_after_a_full_disk_the_journal_goes_on_in_a_new_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short write costs its own record; what comes after it can be read."""
    journal = Journal(tmp_path)
    journal.append(b"before")
    real = os.write
    with monkeypatch.context() as full:
        # The kernel writes what fits: this cannot be had without filling a disk.
        full.setattr(os, "write", lambda fd, data: real(fd, data[:5]))
        with pytest.raises(JournalError, match="no space"):
            journal.append(b"torn")
    journal.append(b"after")
    assert read_all(tmp_path) == [b"before", b"after"]
    journal.close()


def test_records_of_all_sizes_are_read_whole(tmp_path: Path) -> None:
    """Reading in large pieces splits no record, neither at the end of a piece nor one longer than a piece."""
    journal = Journal(tmp_path, segment_bytes=3 * 1024**2)
    records = [bytes([i]) * size for i, size in enumerate((1, 200_000, 62_136, 600_000, 0, 262_136, 8, 1_000_000) * 3)]
    for record in records:
        journal.append(record)
    assert read_all(tmp_path) == records
    journal.close()


def test_a_record_that_is_still_being_written_is_read_once_it_is_whole(tmp_path: Path) -> None:
    """A reader that was early sees nothing of it, and all of it when it looks again."""
    journal = Journal(tmp_path)
    journal.append(b"first")
    journal.append(b"second")
    journal.close()
    (segment,) = tmp_path.glob("*.journal")
    whole = segment.read_bytes()
    reader = JournalReader(tmp_path)
    for size in range(14, len(whole)):
        segment.write_bytes(whole[:size])
        assert reader.read(10) == ([b"first"] if size == 14 else [])
    # The right length, and not yet the right bytes.
    segment.write_bytes(whole[:-1] + b"?")
    assert reader.read(10) == []
    segment.write_bytes(whole)
    assert reader.read(10) == [b"second"]
    reader.close()
