"""Tables of boxes."""

import pytest

from ltr.common.errors import UserError
from pytracking.annotation.box_table import read_box_table


def read(tmp_path, text):
    file = tmp_path / "boxes.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return {
        video.video: [(track.id, track.label, [(box.frame, box.box) for box in track.boxes]) for track in video.tracks]
        for video in read_box_table(file)
    }


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table(tmp_path, separator):
    text = "video,object,label,frame,x,y,w,h\na.mp4,7,car,120,5,6,7,8\na.mp4,7,,,1,2,3,4\n\nb/c d.mp4,,dog,,1.5,2,3,4\n"
    assert read(tmp_path, text.replace(",", separator)) == {
        "a.mp4": [(7, "car", [(None, (1, 2, 3, 4)), (120, (5, 6, 7, 8))])],
        "b/c d.mp4": [(1, "dog", [(None, (1.5, 2, 3, 4))])],
    }


def test_as_spreadsheets_write_it(tmp_path):
    text = b'\xef\xbb\xbfFile,X,Y,Width,Height\r\n"a, b.mp4",1,2,3,4\r\n'
    assert read(tmp_path, text) == {"a, b.mp4": [(1, "object", [(None, (1, 2, 3, 4))])]}


def test_as_european_spreadsheets_write_it(tmp_path):
    text = "sep=;\r\nvideo;x;y;w;h\r\na.mp4;5,5;-6,25;10;8\r\n"
    assert read(tmp_path, text) == {"a.mp4": [(1, "object", [(None, (5.5, -6.25, 10, 8))])]}


def test_columns_without_a_use_are_said(tmp_path, capsys):
    assert read(tmp_path, "video,x,y,w,h,note,\na,1,2,3,4,blurred,\n")["a"]
    assert "the columns note are not used" in capsys.readouterr().err
    assert read(tmp_path, "video,frame_index,x,y,w,h\na,7,1,2,3,4\n")["a"][0][2] == [(7, (1, 2, 3, 4))]


def test_rows_without_an_object(tmp_path):
    assert [name for name, *_ in read(tmp_path, "video,x,y,w,h\na,1,2,3,4\na,5,6,7,8\n")["a"]] == [1, 2]
    one = read(tmp_path, "video,frame,x,y,w,h\na,30,1,2,3,4\na,0,5,6,7,8\n")["a"]
    assert one == [(1, "object", [(0, (5, 6, 7, 8)), (30, (1, 2, 3, 4))])]


def test_objects_may_have_names(tmp_path):
    rows = "a,left,,1,2,3,4\na,1,,1,2,3,4\na,right,player,1,2,3,4\n"
    found = read(tmp_path, "video,object,label,x,y,w,h\n" + rows)["a"]
    assert [track[:2] for track in found] == [(2, "left"), (1, "object"), (3, "player")]


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "lacks video, x, y, w, h"),
        ("a.mp4,1,2,3,4\n", "lacks video"),
        ("video,x,y,w\na,1,2,3\n", "lacks h"),
        ("video,x,y,w,h,x\na,1,2,3,4,5\n", "a column twice"),
        ("video,x,y,w,h\n", "no box below it"),
        ("video,x,y,w,h\na,1,2,3\n", "line 2: h is missing"),
        ("video,x,y,w,h\na,1,2,3,nan\n", "line 2: h is 'nan'"),
        ("video,x,y,w,h\na,1,2,0,4\n", "line 2: the box .* has no area"),
        ("video,x,y,w,h\n,1,2,3,4\n", "line 2: the row names no video"),
        ("video,frame,x,y,w,h\na,-1,1,2,3,4\n", "line 2: frame is '-1'"),
        ("video,object,x,y,w,h\na,1,1,2,3,4\na,01,1,2,3,4\n", "written in two ways"),
        ("video,object,x,y,w,h\na,1,1,2,3,4\na,1,1,2,3,5\n", "object 1 has two boxes in one frame"),
        ("video,object,label,frame,x,y,w,h\na,1,car,0,1,2,3,4\na,1,dog,5,1,2,3,5\n", "line 3: object 1 is 'car' above"),
        (b"\xff\xfe", "UTF-8"),
        ("video,x,y,w,h\na,5,5,6,25,10,8\n", "line 2 has 7 fields, and the first line names 5"),
        ("video,time,x,y,w,h\na,0.5,1,2,3,4\n", "a column 'time'"),
        ("video,frame_id,x,y,w,h\na,5,1,2,3,4\n", "a column 'frame_id'"),
        ("video,x,y,w,h\n" + "a" * 200_000, "no table that can be read"),
    ],
)
def test_a_table_that_is_none(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, text)
