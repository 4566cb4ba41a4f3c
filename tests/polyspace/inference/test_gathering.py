from polyspace.inference.gathering import Video, gather, in_folder


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_a_folder_stands_for_the_videos_below_it_in_their_order(tmp_path):
    touch(tmp_path, "b.mp4", "a/z.AVI", "a.txt", ".hidden.mp4", ".git/c.mp4", "a/b.mkv")
    assert [video.path for video in in_folder(tmp_path)] == ["a/b.mkv", "a/z.AVI", "b.mp4"]
    assert all(video.file.is_file() for video in in_folder(tmp_path))


def test_links_to_folders_are_not_followed(tmp_path):
    touch(tmp_path, "out/secret.mp4", "in/a.mp4")
    (tmp_path / "in/link").symlink_to(tmp_path / "out")
    assert [video.path for video in in_folder(tmp_path / "in")] == ["a.mp4"]


def test_two_endings_of_one_name_are_two_videos(tmp_path):
    touch(tmp_path, "a.mp4", "a.avi")
    assert len(in_folder(tmp_path)) == 2


def test_a_named_file_is_taken_whatever_it_is_called(tmp_path):
    assert gather([tmp_path / "there.bin", tmp_path / "nowhere.mp4"]) == (
        Video(tmp_path, "there.bin"),
        Video(tmp_path, "nowhere.mp4"),
    )


def test_files_and_folders_keep_the_order_in_which_they_are_named(tmp_path):
    touch(tmp_path, "folder/a.mp4", "folder/b.mp4", "z.mp4")
    named = [tmp_path / "z.mp4", str(tmp_path / "folder"), tmp_path / "z.mp4"]
    assert [v.path for v in gather(named)] == ["z.mp4", "a.mp4", "b.mp4", "z.mp4"]
