import pytest

from ltr.common.secrets_in_text import without_secrets


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("rtsp://user:secret@host:554/a", "rtsp://user:***@host:554/a"),
        ("RTSP://user:p@ss:w@[::1]:5/a", "RTSP://user:***@[::1]:5/a"),
        ("rtsp://user:pa/ss@host/a", "rtsp://user:***@host/a"),
        ("rtsp://:secret@host", "rtsp://:***@host"),
        ("https://token@host/a", "https://***@host/a"),
        ("http://host/a?token=abc&t=1#x", "http://host/a?token=***&t=1#x"),
        ("http://host/?user=a&pwd=b&api_key=c", "http://host/?user=a&pwd=***&api_key=***"),
        ("no rtsp://a:b@c, no http://d:e@f/", "no rtsp://a:***@c, no http://d:***@f/"),
        ("http://host:80/a@b:c@d?monkey=3", "http://host:80/a@b:c@d?monkey=3"),
        ("10:30@home.mp4", "10:30@home.mp4"),
    ],
)
def test_passwords_are_masked_and_nothing_else_is(text, masked):
    assert without_secrets(text) == masked
