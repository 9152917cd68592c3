"""Files of annotation tools: what is written says what was tracked, and what tools write is read."""

import json
import zipfile

import pytest

from ltr.common.errors import UserError
from pytracking.annotation.box_files import read_boxes
from pytracking.annotation.formats import export_tracks
from pytracking.annotation.tracks import ObjectTrack, TrackBox, VideoTracks

#: As CVAT 2 exports a task of a video: two key frames, between which it interpolates, and a track that ends.
CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><id>4</id><name>walk</name><size>6</size><mode>interpolation</mode>
    <labels><label><name>person</name><color>#c06060</color><type>any</type><attributes></attributes></label></labels>
    <original_size><width>64</width><height>48</height></original_size><source>walk.mp4</source></task></meta>
  <track id="0" label="person" source="manual">
    <box frame="2" keyframe="1" outside="0" occluded="0" xtl="10.50" ytl="0.00" xbr="20.50" ybr="8.25" z_order="0">
      <attribute name="side">left</attribute></box>
    <box frame="3" keyframe="0" outside="0" occluded="1" xtl="11.50" ytl="0.00" xbr="21.50" ybr="8.25" z_order="0"/>
    <box frame="4" keyframe="1" outside="0" occluded="0" xtl="12.50" ytl="0.00" xbr="22.50" ybr="8.25" z_order="0"/>
    <box frame="5" keyframe="1" outside="1" occluded="0" xtl="12.50" ytl="0.00" xbr="22.50" ybr="8.25" z_order="0"/>
  </track>
</annotations>
"""


@pytest.fixture
def video():
    """Two objects in frames 2 to 5 of ten; the first is absent in frame 3."""
    car = [TrackBox(frame, (10.25 + frame, 0, 30, 40.5), absent=frame == 3, score=0.5) for frame in range(2, 6)]
    dog = [TrackBox(frame, (0, 1, 5.5, 6)) for frame in range(2, 6)]
    tracks = (ObjectTrack(7, 'car <&> "é"', tuple(car)), ObjectTrack(2, "dog", tuple(dog)))
    return VideoTracks("clip.mp4", tracks, (64, 48), 29.97, 10, tuple(range(2, 6)), complete=False)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def visible(video):
    return {
        (track.id, track.label): [(box.frame, box.box) for box in track.boxes if not box.absent]
        for track in video.tracks
    }


@pytest.mark.parametrize("form", ["cvat", "mot", "coco"])
def test_what_is_exported_is_read_back(video, tmp_path, form):
    (file,) = export_tracks(video, [form, form], tmp_path, "clip")
    assert file.parent == tmp_path / form
    (again,) = read_boxes(file)
    assert again.video == "clip.mp4"
    assert visible(again) == visible(video)
    if form != "mot":
        assert again.size == (64, 48)


def test_cvat_hides_absent_targets_and_what_follows_the_last_frame(video, tmp_path):
    (file,) = export_tracks(video, ["cvat"], tmp_path, "clip")
    car, _ = read_boxes(file)[0].tracks
    assert [(box.frame, box.absent) for box in car.boxes] == [(2, False), (3, True), (4, False), (5, False), (6, True)]
    text = file.read_text(encoding="utf-8")
    assert 'xtl="12.2500" ytl="0.0000" xbr="42.2500" ybr="40.5000"' in text  # from 0, with the right and bottom side
    assert 'keyframe="0"' not in text  # which CVAT would not read


def test_cvat_has_no_box_after_the_end_of_the_video(video, tmp_path):
    for length, complete in ((6, False), (None, True)):
        whole = VideoTracks(video.video, video.tracks, video.size, 25, length, video.frames, complete)
        (file,) = export_tracks(whole, ["cvat"], tmp_path, "clip")
        assert [track.boxes[-1].frame for track in read_boxes(file)[0].tracks] == [5, 5]


def test_cvat_goes_on_in_steps(tmp_path):
    boxes = tuple(TrackBox(frame, (1, 2, 3, 4)) for frame in (0, 5))
    video = VideoTracks("a", (ObjectTrack(1, "object", boxes),), length=100, frames=(0, 5), complete=False)
    (file,) = export_tracks(video, ["cvat"], tmp_path, "a")
    assert read_boxes(file)[0].tracks[0].boxes[-1].frame == 10


def test_mot_counts_from_one(video, tmp_path):
    (file,) = export_tracks(video, ["mot"], tmp_path, "clip")
    with zipfile.ZipFile(file) as archive:
        lines = archive.read("gt/gt.txt").decode().splitlines()
        assert lines[:3] == [
            "3,2,1.0000,2.0000,5.5000,6.0000,1,2,1",
            "3,7,13.2500,1.0000,30.0000,40.5000,1,1,1",
            "4,2,1.0000,2.0000,5.5000,6.0000,1,2,1",  # the other is absent
        ]
        assert archive.read("gt/labels.txt").decode().splitlines() == ['car <&> "é"', "dog"]
        info = archive.read("seqinfo.ini").decode()
    assert "seqLength=10" in info and "frameRate=30" in info and "imWidth=64" in info


def test_mot_has_no_object_zero(tmp_path):
    boxes = (TrackBox(0, (1, 2, 3, 4)),)
    video = VideoTracks("a", tuple(ObjectTrack(number, "object", boxes) for number in (0, 1)), frames=(0,))
    (file,) = export_tracks(video, ["mot"], tmp_path, "a")
    assert [track.id for track in read_boxes(file)[0].tracks] == [1, 2]


def test_coco_is_cocos_and_taos_and_cocovids(video, tmp_path):
    from pycocotools.coco import COCO

    (file,) = export_tracks(video, ["coco"], tmp_path, "clip")
    coco = COCO(str(file))
    assert [coco.imgs[key]["file_name"] for key in coco.getImgIds()][0] == "frame_000002.png"
    found = coco.loadAnns(coco.getAnnIds(imgIds=[2]))  # frame 3, where the car is absent
    assert [(each["track_id"], each["instance_id"], each["bbox"]) for each in found] == [(2, 2, [0, 1, 5.5, 6])]
    content = json.loads(file.read_text())
    assert [(image["frame_index"], image["frame_id"]) for image in content["images"]] == [
        (2, 0),
        (3, 1),
        (4, 2),
        (5, 3),
    ]
    assert {track["id"]: track["category_id"] for track in content["tracks"]} == {7: 1, 2: 2}
    assert content["annotations"][0]["score"] == 0.5


def test_key_frames_of_cvat_are_given(tmp_path):
    (video,) = read_boxes(write(tmp_path / "annotations.xml", CVAT))
    assert (video.video, video.size) == ("walk.mp4", (64, 48))
    (track,) = video.tracks
    assert (track.id, track.label) == (0, "person")
    assert [(box.frame, box.given, box.absent) for box in track.boxes] == [
        (2, True, False),
        (3, False, False),
        (4, True, False),
        (5, True, True),
    ]
    assert track.boxes[0].box == (10.5, 0, 10, 8.25)


def test_boxes_of_cvats_images_are_objects_of_the_first_image(tmp_path):
    box = '<box label="{}" xtl="1" ytl="2" xbr="4" ybr="6" rotation="{}"/>'
    boxes = box.format("cat", 0) + box.format("dog", 30) + box.format("cow", 0)
    images = f'<image id="0"/><image id="3">{boxes}</image><image id="4">{boxes}</image>'
    content = f"<annotations>{images}</annotations>"
    (video,) = read_boxes(write(tmp_path / "images.xml", content))
    assert visible(video) == {(1, "cat"): [(3, (1, 2, 3, 4))], (3, "cow"): [(3, (1, 2, 3, 4))]}


def test_a_mot_file_of_the_benchmark_counts_from_one_and_one_of_cvat_from_zero(tmp_path):
    line = "1,3,11,21,30,40,1,2,0.5\n2,3,12,21,30,40,0,2,1\n"  # the second is not considered
    (video,) = read_boxes(write(tmp_path / "a/gt/gt.txt", line))
    assert visible(video) == {(3, "person on vehicle"): [(0, (10, 20, 30, 40))]}
    write(tmp_path / "b/gt/labels.txt", "cat\ndog\n")
    write(tmp_path / "b/gt/gt.txt", line)
    assert visible(read_boxes(tmp_path / "b")[0]) == {(3, "dog"): [(0, (11, 21, 30, 40))]}


def test_detections_without_ids_are_objects_of_their_first_frame(tmp_path):
    rows = "2,-1,11,21,30,40,0.9,-1,-1,-1\n2,-1,51,21,30,40,-0.3,-1,-1,-1\n3,-1,12,21,30,40,0.9,-1,-1,-1\n"
    (video,) = read_boxes(write(tmp_path / "det.txt", rows))
    assert [[(box.frame, box.box[0]) for box in track.boxes] for track in video.tracks] == [[(1, 10)], [(1, 50)]]


def test_youtube_vis_has_a_list_of_boxes(tmp_path):
    content = {
        "videos": [{"id": 9, "width": 64, "height": 48, "file_names": ["walk/00.jpg", "walk/05.jpg"]}],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [{"id": 4, "video_id": 9, "category_id": 3, "bboxes": [None, [1, 2, 3, 4]]}],
    }
    (video,) = read_boxes(write(tmp_path / "vis.json", json.dumps(content)))
    assert video.video == "walk" and visible(video) == {(4, "cat"): [(1, (1, 2, 3, 4))]}


def test_coco_as_cvat_exports_a_video(tmp_path):
    boxes = [(2, True), (3, False)]
    content = {
        "images": [{"id": number, "file_name": f"a\\frame_{number:06d}.PNG"} for number, _ in boxes],
        "categories": [{"id": 1.0, "name": "cat"}],
        "annotations": [
            {
                "id": n,
                "image_id": n,
                "category_id": 1.0,
                "bbox": [1, 2, 3, 4],
                "attributes": {"track_id": 0, "keyframe": k},
            }
            for n, k in boxes
        ],
    }
    with zipfile.ZipFile(tmp_path / "task.zip", "w") as archive:
        archive.writestr("annotations/instances_default.json", json.dumps(content))
        archive.writestr("images/readme.md", "")
    (video,) = read_boxes(tmp_path / "task.zip")
    assert video.tracks[0].label == "cat"
    assert [(box.frame, box.given) for box in video.tracks[0].boxes] == [(2, True), (3, False)]


BOMB = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><annotations>&b;</annotations>'
PROJECT = (
    CVAT[: CVAT.index("  <track")]
    + "".join(f'<track id="{n}" task_id="{n}"><box frame="0" xtl="1" ytl="2" xbr="5" ybr="6"/></track>' for n in (3, 4))
    + "</annotations>"
)
OUTSIDE = '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><annotations>&f;</annotations>'


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("bomb.xml", BOMB, "DOCTYPE"),
        ("outside.xml", OUTSIDE, "DOCTYPE"),
        ("deep.xml", "<annotations>" + "<track>" * 5000, "nested deeper"),
        ("cut.xml", CVAT[:700], "not complete XML"),
        ("empty.xml", "", "not complete XML"),
        ("voc.xml", "<annotation><object/></annotation>", "not CVAT's"),
        ("images.xml", '<annotations><image id="0" name="a.jpg"/></annotations>', "no track"),
        ("none.xml", "<annotations/>", "no track"),
        ("nan.xml", CVAT.replace('xtl="10.50"', 'xtl="nan"'), "track 0, frame 2: xtl is 'nan'"),
        ("flat.xml", CVAT.replace('xtl="10.50"', 'xtl="90"'), "frame 2: the box has no area"),
        ("no_side.xml", CVAT.replace('xbr="20.50" ', ""), "xbr is missing"),
        ("twice.xml", CVAT.replace("</annotations>", CVAT[CVAT.index("  <track") :]), "same id"),
        ("project.xml", PROJECT, "several tasks, and so of several videos; export one task"),
        ("gt.txt", "1,1,2,3,4\n", "line 1: MOTChallenge's lines"),
        ("otb.txt", "59,13,56,88\n", "--box X Y W H"),
        ("gt.txt", "0,1,2,3,4,5\n", "the frame is '0.0'"),
        ("gt.txt", "1,1,2,3,4,x\n", "line 1: value 6 is 'x'"),
        ("gt.txt", "1,1,2,3,0,5\n", "has no area"),
        ("gt.txt", "1,1,2,3,4,5\n1,1,2,3,4,6\n", "two lines of one object in one frame"),
        ("gt.txt", "\n", "no box"),
        ("gt.txt", b"\xff\xfe\x00", "UTF-8"),
        ("a.json", "{", "not complete JSON"),
        ("a.json", "[" * 100_000, "not complete JSON"),
        ("a.json", "[]", "not COCO's"),
        ("a.json", '{"annotations": []}', "no box"),
        ("a.json", '{"annotations": [{"id": 1, "image_id": 5}]}', "no image 5"),
        ("a.json", '{"images": [{"id": 5}], "annotations": [{"image_id": 5}]}', "which object"),
        ("a.json", '{"images": [{"id": [5]}], "annotations": []}', "neither number nor text"),
        ("a.json", '{"annotations": [{"id": 1, "image_id": [5]}]}', "neither number nor text"),
        ("a.json", '{"annotations": [{"id": 1, "video_id": {}, "bboxes": []}]}', "neither number nor text"),
        (
            "a.json",
            '{"images": [{"id": 5, "file_name": "cat.jpg"}], '
            '"annotations": [{"image_id": 5, "track_id": 1, "bbox": [1, 2, 3, 4]}]}',
            "no frame of a video",
        ),
        ("a.zip", b"PK\x03\x04", "no zip file|no file of boxes"),
        ("a.mp4", b"", "no file of boxes that is known"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_sentence(tmp_path, name, content, message):
    file = write(tmp_path / name, content)
    with pytest.raises(UserError, match=message) as failure:
        read_boxes(file)
    assert str(file) in str(failure.value) and "\n" not in str(failure.value)


def test_a_zip_that_unpacks_to_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("pytracking.annotation.box_files._LARGEST", 1000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotations.xml", " " * 2000)
    with pytest.raises(UserError, match="more than a gigabyte"):
        read_boxes(tmp_path / "a.zip")


def test_a_damaged_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotations.xml", CVAT)
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[60:100] = bytes(40)
    with pytest.raises(UserError, match="no zip file that can be read"):
        read_boxes(write(tmp_path / "a.zip", bytes(content)))


def test_one_of_several_files_is_not_guessed(tmp_path):
    for name in ("a.xml", "b.xml"):
        write(tmp_path / name, CVAT)
    with pytest.raises(UserError, match=r"a\.xml, b\.xml"):
        read_boxes(tmp_path)
    with pytest.raises(UserError, match="there is no file"):
        read_boxes(tmp_path / "c.xml")
