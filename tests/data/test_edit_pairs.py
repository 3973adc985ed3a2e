"""Pairs of pictures that an instruction leads through."""

from triptych.data.records import Place, Record, Text, edit_pairs


def record(file, place, index, told=True):
    instruction = [Text(text=f"make {file}")] if told else []
    return Record(file=file, kind="picture", sequence=Place(id=place, index=index), instruction=instruction)


def test_a_pair_is_a_picture_and_the_next_one_with_an_instruction():
    records = [
        record("c", "one", 2),
        record("a", "one", 0, told=False),
        record("x", "two", 0, told=False),
        record("b", "one", 1),
        record("z", "two", 2),  # the one before is missing
        record("v", "three", 0, told=False),
        record("w", "three", 1, told=False),  # another view, no edit
        Record(file="alone", kind="picture"),
    ]
    assert [(one.file, two.file) for one, two in edit_pairs(records)] == [("a", "b"), ("b", "c")]
