"""Frames that the load generator makes are those of the contract."""

from benchmarks._frames import frame, unframe

from modgate.v1 import moderation_pb2 as pb


def test_frames_are_the_contracts() -> None:
    """A frame made by hand parses as a ModerateRequest with the same requests in it."""
    requests = [pb.ModerateRequest(request_id=str(i), message=pb.Message(text="x" * 40 * i)) for i in range(20)]
    made = frame([request.SerializeToString() for request in requests])
    assert list(pb.ModerateRequest.FromString(made).frame) == requests


def test_answers_are_taken_out_of_frames() -> None:
    """Answers come out of a frame as they went in; an answer without a frame is itself."""
    answers = [pb.ModerateResponse(request_id=str(i), masked_text="*" * 30 * i) for i in range(20)]
    encoded = [answer.SerializeToString() for answer in answers]
    assert unframe(pb.ModerateResponse(frame=answers).SerializeToString()) == encoded
    assert unframe(encoded[3]) == [encoded[3]]
